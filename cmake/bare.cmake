# bare.cmake - -DCAIRN_BARE=ON: what builds with a compiler and nvcc alone, where no library of
# requirements.cmake is installed: the operators, their tests, cairn-bench and cairn-steps.
#
# Left out is every file that includes a library's header, itself or through a header of ours; archives
# give the programs what they need of the rest. tests/bare/ has stand-ins for what they need of those:
# the CPU's products as plain loops, golden values read without a JSON library, no --against.
set(CAIRN_BARE_INCLUDE "#include [<\"](dnnl|oneapi/|hdf5|jansson|yaml|utf8proc|curl/|zip|openssl/|zlib)")

set(headers "")
file(GLOB_RECURSE all ${CMAKE_SOURCE_DIR}/*/*.h)
list(FILTER all EXCLUDE REGEX "${CMAKE_SOURCE_DIR}/(build|tests/emulator)")
set(changes TRUE)
while(changes) # until no header includes one that is left out
  set(changes FALSE)
  foreach(header IN LISTS all)
    file(STRINGS ${header} found REGEX "${CAIRN_BARE_INCLUDE}" LIMIT_COUNT 1)
    if(found)
      list(REMOVE_ITEM all ${header})
      file(RELATIVE_PATH header ${CMAKE_SOURCE_DIR} ${header})
      string(APPEND CAIRN_BARE_INCLUDE "|#include \"${header}\"")
      set(changes TRUE)
    endif()
  endforeach()
endwhile()

set(stand_ins_runtime safetensors)
set(stand_ins_kernels gemm_cpu)

# Takes the files that cannot be compiled out of a list, and adds the stand-ins of those that are named.
function(cairn_bare_sources list)
  set(kept "")
  foreach(source IN LISTS ${list})
    set(found "")
    if(EXISTS ${source})
      file(STRINGS ${source} found REGEX "${CAIRN_BARE_INCLUDE}" LIMIT_COUNT 1)
    endif()
    if(NOT found)
      list(APPEND kept ${source})
    endif()
  endforeach()
  foreach(name IN LISTS ARGN)
    list(APPEND kept ${CMAKE_SOURCE_DIR}/tests/bare/${name}.c)
  endforeach()
  set(${list} ${kept} PARENT_SCOPE)
endfunction()
message(STATUS "bare: the operators, their tests and benchmarks, without any library")
