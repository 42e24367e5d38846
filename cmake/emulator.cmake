# emulator.cmake - in a build with -DCAIRN_EMULATED=ON: the emulator's own checks, and the operators'
# tests under sanitizers, three programs of each from one configure.
#
#   variant  label          flags
#   plain    emulated       none: the operators' are the tests of tests.cmake
#   asan     emulated_asan  address, undefined behaviour
#   tsan     emulated_tsan  thread
#
# A variant has its own copy of runtime/, kernels/ and what tests share. The emulator is never
# compiled with -fsanitize=thread: to ThreadSanitizer its book-keeping must not exist.
file(GLOB emulator_checks CONFIGURE_DEPENDS ${CAIRN_EMULATOR_DIR}/checks/*.cu)
cairn_cuda_sources(${emulator_checks})

set(variant_flags_asan -g -fsanitize=address,undefined -fno-sanitize-recover=undefined
  -fno-omit-frame-pointer)
# The .cu files alone: instrumented, the resolvers of target_clones would run before ThreadSanitizer.
set(variant_flags_tsan -g $<$<COMPILE_LANGUAGE:CXX>:-fsanitize=thread>)
set(variant_link_asan ${variant_flags_asan})
set(variant_link_tsan -fsanitize=thread)
set(variant_label_plain emulated)
set(variant_label_asan emulated_asan)
set(variant_label_tsan emulated_tsan)
set(variant_environment_tsan "CAIRN_TEST_BRIEF=1;\
TSAN_OPTIONS=suppressions=${CAIRN_EMULATOR_DIR}/checks/tsan.suppressions")

# A library of a folder's sources with a variant's flags, and what it links.
function(cairn_variant_library variant folder) # then libraries
  get_target_property(sources cairn_${folder} SOURCES)
  if(folder STREQUAL "test")
    list(FILTER sources INCLUDE REGEX "/tests/(test|check_|faulty_|on_device|recurrent_)[a-z0-9_]*\\.cu?$")
  endif()
  add_library(cairn_${folder}_${variant} STATIC EXCLUDE_FROM_ALL ${sources})
  target_link_libraries(cairn_${folder}_${variant} PUBLIC ${ARGN} cairn_options)
  target_include_directories(cairn_${folder}_${variant} PRIVATE ${CMAKE_BINARY_DIR}/generated)
  target_compile_definitions(cairn_${folder}_${variant} PRIVATE
    CAIRN_SOURCE_DIR="${CMAKE_SOURCE_DIR}"
    CAIRN_INSTALLED_DATA="${CMAKE_INSTALL_FULL_DATADIR}/cairn")
  add_dependencies(cairn_${folder}_${variant} cairn_version)
  if(variant STREQUAL "tsan" AND folder STREQUAL "emulator")
    target_compile_definitions(cairn_${folder}_${variant} PRIVATE EMULATOR_TSAN)
  else()
    target_compile_options(cairn_${folder}_${variant} PRIVATE ${variant_flags_${variant}})
  endif()
  target_link_options(cairn_${folder}_${variant} PUBLIC ${variant_link_${variant}})
endfunction()

function(cairn_variant_program variant name source) # then libraries
  add_executable(${name} ${source})
  target_compile_options(${name} PRIVATE ${variant_flags_${variant}})
  target_compile_definitions(${name} PRIVATE CAIRN_SOURCE_DIR="${CMAKE_SOURCE_DIR}")
  target_link_libraries(${name} ${ARGN} cairn_options stdc++)
endfunction()

function(cairn_variant_test variant name) # then the command
  set(test ${CAIRN_TEST_PREFIX}${variant_label_${variant}}/${name})
  add_test(NAME ${test} COMMAND ${ARGN})
  set_tests_properties(${test} PROPERTIES SKIP_RETURN_CODE 77 TIMEOUT 1800
    LABELS ${variant_label_${variant}}
    ENVIRONMENT "${environment};CAIRN_TEST_DEVICE=emulated;${variant_environment_${variant}}")
endfunction()

foreach(variant asan tsan)
  cairn_variant_library(${variant} emulator Threads::Threads)
  cairn_variant_library(${variant} runtime ${CAIRN_LIBRARIES} cairn_emulator_${variant} m)
  cairn_variant_library(${variant} kernels cairn_runtime_${variant} cairn_dnnl mvec)
  cairn_variant_library(${variant} test cairn_kernels_${variant})
endforeach()

set(checks ${CAIRN_EMULATOR_DIR}/checks)
foreach(variant plain asan tsan)
  add_library(emulator_checks_${variant} STATIC tests/test.c runtime/status.c
    kernels/tensor_map.cu)
  target_compile_options(emulator_checks_${variant} PRIVATE ${variant_flags_${variant}})
  target_compile_definitions(emulator_checks_${variant} PRIVATE
    CAIRN_SOURCE_DIR="${CMAKE_SOURCE_DIR}")
  set(emulator cairn_emulator)
  if(NOT variant STREQUAL "plain")
    set(emulator cairn_emulator_${variant})
  endif()
  target_link_libraries(emulator_checks_${variant} PUBLIC ${emulator} cairn_options
    Threads::Threads)
  foreach(source IN LISTS emulator_checks)
    get_filename_component(name ${source} NAME_WE)
    cairn_variant_program(${variant} emulator_${name}_${variant} ${source}
      emulator_checks_${variant})
    set(script modes) # unless a check has a script of its own
    if(EXISTS ${checks}/${name}.sh)
      set(script ${name})
    endif()
    cairn_variant_test(${variant} emulator/${name} bash ${checks}/${script}.sh
      $<TARGET_FILE:emulator_${name}_${variant}> ${variant})
  endforeach()
endforeach()

foreach(operator IN LISTS operators)
  string(REGEX REPLACE "^OP\\(([a-z0-9_]+)\\).*" "\\1" operator "${operator}")
  if(NOT EXISTS ${CMAKE_SOURCE_DIR}/tests/kernels/${operator}.c)
    continue()
  endif()
  # Two runs tell late copies from early ones, where an operator copies in the background.
  set(copies none)
  string(REGEX REPLACE "_kernels$" "" prefix ${operator})
  file(GLOB cuda_files kernels/${prefix}*.cu tests/check_${prefix}.cu)
  foreach(file IN LISTS cuda_files)
    file(STRINGS ${file} found REGEX "_sm[0-9]+\\.cuh|/sm[0-9]+\\.cuh" LIMIT_COUNT 1)
    if(found)
      set(copies copies)
    endif()
  endforeach()
  foreach(variant asan tsan)
    set(program test_kernels_${operator}_${variant})
    cairn_variant_program(${variant} ${program} tests/kernels/${operator}.c
      cairn_test_${variant})
    cairn_variant_test(${variant} kernels/${operator} bash ${checks}/modes.sh
      $<TARGET_FILE:${program}> ${variant} ${copies})
  endforeach()
endforeach()
