# bench.cmake - cairn-bench and cairn-steps, and the library that its --compare holds products against where there
# is one: OpenBLAS is no requirement.
file(GLOB_RECURSE bench_sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/bench/*.c)
list(FILTER bench_sources EXCLUDE REGEX "/bench/(peers|steps)/")
set(bench_main ${bench_sources})
list(FILTER bench_main INCLUDE REGEX "/bench/main\\.c$")
list(REMOVE_ITEM bench_sources ${bench_main})
cairn_bare_sources(bench_sources against)
set(compiler "${CMAKE_C_COMPILER_ID} ${CMAKE_C_COMPILER_VERSION} ${CMAKE_BUILD_TYPE}")
if(CMAKE_CUDA_COMPILER_VERSION)
  string(APPEND compiler ", nvcc ${CMAKE_CUDA_COMPILER_VERSION}")
endif()

add_library(cairn_bench STATIC ${bench_sources}) # so that tests reach it
target_link_libraries(cairn_bench PUBLIC cairn_cli ${CMAKE_DL_LIBS})
target_compile_definitions(cairn_bench PRIVATE CAIRN_COMPILER="${compiler}")
add_executable(cairn-bench ${bench_main})
target_link_libraries(cairn-bench cairn_bench)

file(GLOB steps_sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/bench/steps/*.c)
add_executable(cairn-steps ${steps_sources}) # whole training steps, for bench/gpu.sh
target_link_libraries(cairn-steps cairn_bench)

option(CAIRN_OPENBLAS "Link cairn-bench with OpenBLAS where it is found" ON)
find_library(OPENBLAS_LIBRARY openblas)
find_path(OPENBLAS_INCLUDE cblas.h PATH_SUFFIXES openblas openblas-openmp openblas-pthread)
mark_as_advanced(OPENBLAS_LIBRARY OPENBLAS_INCLUDE)
if(CAIRN_OPENBLAS AND NOT CAIRN_BARE AND OPENBLAS_LIBRARY AND OPENBLAS_INCLUDE)
  target_compile_definitions(cairn_bench PRIVATE CAIRN_OPENBLAS)
  target_include_directories(cairn_bench PRIVATE ${OPENBLAS_INCLUDE})
  target_link_libraries(cairn_bench PRIVATE ${OPENBLAS_LIBRARY})
endif()
