# reco_warnings(target): the warnings every C file of the project is compiled with.
function(reco_warnings target)
    target_compile_options(${target} PRIVATE -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith -Wcast-qual
        -Wwrite-strings -Wvla)
    if(RECO_WERROR)
        target_compile_options(${target} PRIVATE -Werror)
    endif()
    if(RECO_SANITIZE AND CMAKE_C_COMPILER_ID STREQUAL "GNU")
        target_compile_options(${target} PRIVATE -Wno-maybe-uninitialized -Wno-format-truncation) # gcc sees ghosts in instrumented code; the plain build keeps the warning
    endif()
endfunction()
