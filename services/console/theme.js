// Light, dark, or as the system has it. Loaded before anything is drawn, so that nothing flashes.
"use strict";
(() => {
    const KEY = "libreco-theme";
    const THEMES = ["system", "light", "dark"];
    const kept = () => {
        try {
            const value = localStorage.getItem(KEY);
            return THEMES.includes(value) ? value : "system";
        } catch {
            return "system"; // storage is denied: the theme lasts as long as the page
        }
    };
    let theme = kept();
    const apply = () => {
        if (theme === "system")
            delete document.documentElement.dataset.theme;
        else
            document.documentElement.dataset.theme = theme;
    };
    const label = (button) => {
        const word = document.createElement("span");
        word.className = "wordy";
        word.textContent = "Theme: ";
        button.replaceChildren(word, theme);
    };
    apply();
    document.addEventListener("DOMContentLoaded", () => {
        const button = document.getElementById("theme");
        label(button);
        button.addEventListener("click", () => {
            theme = THEMES[(THEMES.indexOf(theme) + 1) % THEMES.length];
            try {
                localStorage.setItem(KEY, theme);
            } catch {
                // as above
            }
            apply();
            label(button);
        });
    });
})();
