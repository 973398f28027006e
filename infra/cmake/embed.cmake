# reco_embed(target NAME file): compiles a text file into the target as `const char NAME[]`, terminated. Run as a script it writes the C file.
if(CMAKE_SCRIPT_MODE_FILE)
    file(READ ${INPUT} bytes HEX)
    string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${bytes}")
    file(WRITE ${OUTPUT} "extern const char ${NAME}[];\nconst char ${NAME}[] = {${bytes}0};\n")
    return()
endif()

set(reco_embed_script ${CMAKE_CURRENT_LIST_FILE})
function(reco_embed target name file)
    set(output ${CMAKE_CURRENT_BINARY_DIR}/${name}.c)
    add_custom_command(OUTPUT ${output}
        COMMAND ${CMAKE_COMMAND} -DINPUT=${CMAKE_CURRENT_SOURCE_DIR}/${file} -DOUTPUT=${output} -DNAME=${name} -P ${reco_embed_script}
        DEPENDS ${file} ${reco_embed_script} VERBATIM)
    target_sources(${target} PRIVATE ${output})
endfunction()
