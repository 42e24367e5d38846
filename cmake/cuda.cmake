# cuda.cmake - how the .cu files are compiled: by nvcc where it is found, or for the emulator.
#
# Sets CAIRN_WITH_CUDA and CAIRN_CUDA_LIBRARIES. The CUDA runtime is linked statically and the
# driver never by name, so that the program also starts on a machine without one. With
# -DCAIRN_EMULATED=ON the same files are C++ and the emulator stands in the place of CUDA's headers.
set(CAIRN_WITH_CUDA OFF)
set(CAIRN_CUDA_LIBRARIES "")
set(CAIRN_PC_CUDA "")
function(cairn_cuda_sources) # whatever a .cu file needs besides the options of its folder
endfunction()
# Takes the *_sm90.cu of a folder out of its list of files: instructions of compute capability 9.0
# alone are compiled for that alone, in a library of their own.
function(cairn_cuda_sm90 folder list)
endfunction()
# cuDNN is loaded by name where a kernel called cudnn is forced; here its headers are all that is wanted,
# and only by the files that are named after it.
option(CAIRN_CUDNN "Compile the kernels called cudnn where cuDNN's headers are found" ON)
find_path(CUDNN_INCLUDE cudnn_graph.h HINTS /usr/local/cuda/include)
mark_as_advanced(CUDNN_INCLUDE)
set(CAIRN_WITH_CUDNN OFF)
if(CAIRN_CUDNN AND CUDNN_INCLUDE AND NOT CAIRN_FUZZ)
  file(STRINGS ${CUDNN_INCLUDE}/cudnn_version.h cudnn_major REGEX "^#define CUDNN_MAJOR 9$")
  if(cudnn_major)
    set(CAIRN_WITH_CUDNN ON)
  endif()
endif()
file(GLOB cudnn_sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/kernels/*cudnn*.cu)

if(CAIRN_EMULATED AND NOT CAIRN_FUZZ)
  include(cmake/emulated.cmake)
  return()
endif()
if(NOT CAIRN_CUDA OR CAIRN_SANITIZE OR CAIRN_FUZZ)
  return()
endif()
file(GLOB cuda_sources CONFIGURE_DEPENDS
  ${CMAKE_SOURCE_DIR}/runtime/*.cu ${CMAKE_SOURCE_DIR}/kernels/*.cu)
if(NOT cuda_sources)
  return()
endif()
check_language(CUDA)
if(NOT CMAKE_CUDA_COMPILER)
  message(STATUS "nvcc is not found: building for the CPU alone")
  return()
endif()
if(NOT DEFINED CMAKE_CUDA_ARCHITECTURES)
  set(CMAKE_CUDA_ARCHITECTURES 80-real 90) # 90 also as PTX, for what comes after it
endif()
if(CAIRN_REGISTERS)
  set(CMAKE_CUDA_COMPILER_LAUNCHER ${CMAKE_SOURCE_DIR}/deploy/registers.sh compile)
endif()
set(CMAKE_CUDA_RUNTIME_LIBRARY Static)
enable_language(CUDA)
set(CMAKE_CUDA_STANDARD 17)
set(CMAKE_CUDA_STANDARD_REQUIRED ON)
find_package(CUDAToolkit REQUIRED)
set(CAIRN_WITH_CUDA ON)
set(CAIRN_CUDA_LIBRARIES CUDA::cudart_static stdc++)
set(CAIRN_PC_CUDA "-L${CUDAToolkit_LIBRARY_DIR} -lcudart_static -ldl -lrt -lstdc++ ")
add_compile_definitions(WITH_CUDA)
add_compile_options("$<$<COMPILE_LANGUAGE:CUDA>:-Xcompiler=-Wall,-Wextra,-march=x86-64-v3>")
if(CAIRN_WERROR)
  add_compile_options("$<$<COMPILE_LANGUAGE:CUDA>:-Werror=all-warnings;-Xcompiler=-Werror>")
endif()
if(CAIRN_WITH_CUDNN)
  set_source_files_properties(${cudnn_sources} PROPERTIES COMPILE_DEFINITIONS WITH_CUDNN
    INCLUDE_DIRECTORIES ${CUDNN_INCLUDE})
endif()
message(STATUS "CUDA ${CMAKE_CUDA_COMPILER_VERSION} for ${CMAKE_CUDA_ARCHITECTURES}")

function(cairn_cuda_sm90 folder list)
  set(special ${${list}})
  list(FILTER special INCLUDE REGEX "_sm90\\.cu$")
  if(NOT special)
    return()
  endif()
  list(REMOVE_ITEM ${list} ${special})
  set(${list} ${${list}} PARENT_SCOPE)
  add_library(${folder}_sm90 STATIC ${special})
  set_target_properties(${folder}_sm90 PROPERTIES CUDA_ARCHITECTURES 90a-real)
  target_link_libraries(${folder}_sm90 PUBLIC ${folder}) # each needs the other
endfunction()
