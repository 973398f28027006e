# make install: headers, both libraries, libreco.pc; programs install themselves (reco_program).
install(TARGETS reco reco_static
    LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR}
    ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(DIRECTORY ${PROJECT_SOURCE_DIR}/include/ DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} FILES_MATCHING PATTERN "*.h")
configure_file(${PROJECT_SOURCE_DIR}/pkgconfig/libreco.pc.in ${PROJECT_BINARY_DIR}/libreco.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/libreco.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
install(FILES ${PROJECT_SOURCE_DIR}/LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR})
