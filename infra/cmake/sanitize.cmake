# RECO_SANITIZE for everything that is compiled and linked.
if(RECO_SANITIZE STREQUAL "address")
    set(reco_sanitizers -fsanitize=address,undefined -fno-sanitize-recover=all)
elseif(RECO_SANITIZE STREQUAL "undefined") # clang's knows more than gcc's, such as pointers that are not aligned as their type says
    set(reco_sanitizers -fsanitize=undefined -fno-sanitize-recover=all)
elseif(RECO_SANITIZE STREQUAL "thread")
    set(reco_sanitizers -fsanitize=thread)
elseif(RECO_SANITIZE)
    message(FATAL_ERROR "RECO_SANITIZE is '${RECO_SANITIZE}': it must be empty, address, undefined or thread")
endif()
if(reco_sanitizers)
    add_compile_options(${reco_sanitizers} -fno-omit-frame-pointer -O1 -g1)
    add_link_options(${reco_sanitizers})
endif()
