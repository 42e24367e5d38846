# install.cmake - `cmake --install`: the program, its data, and for programs that link Cairn one
# archive, the headers of its folders, and a pkg-config file.
set(objects "")
foreach(folder ${CAIRN_FOLDERS})
  list(APPEND objects $<TARGET_OBJECTS:${folder}>)
endforeach()
add_library(cairn_archive STATIC ${objects})
set_target_properties(cairn_archive PROPERTIES OUTPUT_NAME cairn LINKER_LANGUAGE C)
file(RELATIVE_PATH PREFIX_FROM_PC /${CMAKE_INSTALL_LIBDIR}/pkgconfig /)
configure_file(cmake/cairn.pc.in cairn.pc @ONLY)

install(TARGETS cairn RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
if(TARGET cairn-bench)
  install(TARGETS cairn-bench RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
endif()
install(TARGETS cairn_archive ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(FILES ${CMAKE_BINARY_DIR}/cairn.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
foreach(folder runtime kernels models datasets train serve)
  if(EXISTS ${CMAKE_SOURCE_DIR}/${folder})
    install(DIRECTORY ${folder} DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/cairn
      FILES_MATCHING PATTERN "*.h" PATTERN "*.def"
      PATTERN "*_block.h" EXCLUDE # a body that several files compile, each for its instructions
      PATTERN samples EXCLUDE PATTERN recipes EXCLUDE)
  endif()
endforeach()
if(EXISTS ${CMAKE_SOURCE_DIR}/datasets/samples)
  install(DIRECTORY datasets/samples DESTINATION ${CMAKE_INSTALL_DATADIR}/cairn)
endif()
