# tests.cmake - tests/<folder>/<x>.c is a program, tests/<folder>/<x>.sh a script; both are the test
# <folder>/<x>, and both say by exit code 77 that they were skipped.
#
# In a build with CUDA or the emulator the test of an operator, tests/kernels/<op>.c, is also the test
# cuda/kernels/<op> or emulated/kernels/<op>, which runs it on that device, and tests/device/<x>.sh is
# cuda/<x>.sh or emulated/<x>.sh. Both find its name in $CAIRN_TEST_DEVICE.
#
# Scripts find the program in $CAIRN, the source tree in $CAIRN_SOURCE, and the build tree in
# $CAIRN_BUILD. Two tests may run at once, so threads that wait must sleep.
enable_testing()
set(folders runtime kernels models datasets train serve cli bench)
if(NOT CAIRN_SANITIZE)
  list(APPEND folders house) # they read sources; once is enough
endif()

file(GLOB test_sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/tests/*.c)
if(CAIRN_WITH_CUDA)
  file(GLOB test_cuda CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/tests/*.cu)
  list(APPEND test_sources ${test_cuda})
  cairn_cuda_sources(${test_cuda})
endif()
cairn_bare_sources(test_sources)
add_library(cairn_test STATIC ${test_sources})
target_compile_definitions(cairn_test PUBLIC CAIRN_SOURCE_DIR="${CMAKE_SOURCE_DIR}")
target_link_libraries(cairn_test PUBLIC ${CAIRN_FOLDERS})

file(GLOB house_sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/tests/house/check/*.c)
add_library(cairn_house STATIC ${house_sources})
target_link_libraries(cairn_house PUBLIC cairn_options)

set(program "")
if(TARGET cairn)
  set(program $<TARGET_FILE:cairn>)
endif()
set(environment "OMP_WAIT_POLICY=passive;CAIRN=${program};\
CAIRN_SOURCE=${CMAKE_SOURCE_DIR};CAIRN_BUILD=${CMAKE_BINARY_DIR};CMAKE=${CMAKE_COMMAND};\
CC=${CMAKE_C_COMPILER};ASAN_OPTIONS=detect_leaks=1:allocator_may_return_null=1;\
UBSAN_OPTIONS=print_stacktrace=1;LSAN_OPTIONS=print_suppressions=0")

if(CAIRN_EMULATED OR CAIRN_BARE)
  set(folders kernels) # what the CPU does is the other trees' to test
endif()
foreach(folder ${folders})
  file(GLOB programs CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/tests/${folder}/*.c)
  cairn_bare_sources(programs)
  foreach(program ${programs})
    get_filename_component(name ${program} NAME_WE)
    add_executable(test_${folder}_${name} ${program})
    if(folder STREQUAL "house")
      target_link_libraries(test_${folder}_${name} cairn_house)
    elseif(folder STREQUAL "bench")
      target_link_libraries(test_${folder}_${name} cairn_bench)
    elseif(folder STREQUAL "cli")
      target_link_libraries(test_${folder}_${name} cairn_cli)
    endif()
    target_link_libraries(test_${folder}_${name} cairn_test)
    if(CAIRN_EMULATED OR CAIRN_BARE)
      continue()
    endif()
    add_test(NAME ${CAIRN_TEST_PREFIX}${folder}/${name} COMMAND test_${folder}_${name})
    set_tests_properties(${CAIRN_TEST_PREFIX}${folder}/${name} PROPERTIES SKIP_RETURN_CODE 77
      TIMEOUT 900 LABELS cpu ENVIRONMENT "${environment}")
  endforeach()
  file(GLOB scripts CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/tests/${folder}/*.sh)
  if(CAIRN_EMULATED OR CAIRN_BARE)
    set(scripts "")
  endif()
  foreach(script ${scripts})
    get_filename_component(name ${script} NAME_WE)
    set(test ${CAIRN_TEST_PREFIX}${folder}/${name}.sh)
    add_test(NAME ${test} COMMAND bash ${script})
    set_tests_properties(${test} PROPERTIES SKIP_RETURN_CODE 77 TIMEOUT 900 LABELS cpu
      ENVIRONMENT "${environment}")
  endforeach()
endforeach()
if(TARGET test_cli_doctor) # in whose machine is a card that there is not
  target_link_options(test_cli_doctor PRIVATE
    -Wl,--wrap=device_open,--wrap=gemm_make,--wrap=cudnn_describe)
endif()

# ---- operators and recipes on the other device ----

set(device "")
if(CAIRN_EMULATED AND CAIRN_SANITIZE)
  # Threads in a random order and copies as early as allowed: the plain tree has the opposite.
  set(device emulated)
  set(label emulated_asan)
  string(REPLACE "detect_leaks=1" "detect_leaks=0" environment "${environment}")
  string(APPEND environment ";CAIRN_EMULATOR_SEED=1;CAIRN_EMULATOR_ASYNC=early;\
CAIRN_EMULATOR_MATH=rough")
elseif(CAIRN_EMULATED)
  set(device emulated)
  set(label emulated)
elseif(CAIRN_WITH_CUDA)
  set(device cuda)
  set(label gpu)
endif()
file(STRINGS ${CMAKE_SOURCE_DIR}/kernels/ops.def operators REGEX "^OP\\(")
if(CAIRN_WITH_CUDA AND NOT CAIRN_EMULATED)
  # The emulator's checks of the instructions of sm90.cuh are a GPU's too.
  foreach(name sm90 sm90_products)
    add_executable(test_kernels_${name} tests/emulator/checks/${name}.cu)
    set_target_properties(test_kernels_${name} PROPERTIES CUDA_ARCHITECTURES 90a-real)
    target_link_libraries(test_kernels_${name} cairn_test)
    list(APPEND operators "OP(${name})")
  endforeach()
endif()
# each kernel that attention, rnn, lstm and gru choose among; what a kernel's fault says; the
# instructions of sm80.cuh
list(APPEND operators "OP(attention_kernels)" "OP(recurrent_kernels)" "OP(faults)" "OP(sm80)")
# kernels called cudnn: on the emulated device against a fake of it, found before any other
list(APPEND operators "OP(cudnn)")
if(CAIRN_EMULATED AND CAIRN_WITH_CUDNN)
  file(GLOB fake_sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/tests/cudnn/fake_*.c)
  add_library(cairn_fake_cudnn SHARED ${fake_sources})
  target_include_directories(cairn_fake_cudnn SYSTEM PRIVATE ${CUDNN_INCLUDE})
  target_link_libraries(cairn_fake_cudnn PRIVATE cairn_options m)
  set_target_properties(cairn_fake_cudnn PROPERTIES OUTPUT_NAME cudnn SUFFIX .so.9
    LIBRARY_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests/cudnn)
  string(APPEND environment ";LD_LIBRARY_PATH=${CMAKE_BINARY_DIR}/tests/cudnn")
endif()
foreach(operator IN LISTS operators)
  string(REGEX REPLACE "^OP\\(([a-z0-9_]+)\\).*" "\\1" operator "${operator}")
  if(device AND TARGET test_kernels_${operator})
    set(test ${CAIRN_TEST_PREFIX}${device}/kernels/${operator})
    add_test(NAME ${test} COMMAND test_kernels_${operator})
    set_tests_properties(${test} PROPERTIES SKIP_RETURN_CODE 77 TIMEOUT 900 LABELS ${label}
      ENVIRONMENT "${environment};CAIRN_TEST_DEVICE=${device}")
  endif()
endforeach()
file(GLOB scripts CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/tests/device/*.sh)
if(CAIRN_BARE)
  set(scripts "") # they run the program
endif()
foreach(script IN LISTS scripts)
  if(device)
    get_filename_component(name ${script} NAME_WE)
    set(test ${CAIRN_TEST_PREFIX}${device}/${name}.sh)
    add_test(NAME ${test} COMMAND bash ${script})
    set_tests_properties(${test} PROPERTIES SKIP_RETURN_CODE 77 TIMEOUT 1800 LABELS ${label}
      ENVIRONMENT "${environment};CAIRN_TEST_DEVICE=${device}")
  endif()
endforeach()

# cuDNN itself, told of a card that is not there, compiles the graphs of attention
if(CAIRN_EMULATED AND NOT CAIRN_SANITIZE)
  set(test ${CAIRN_TEST_PREFIX}${device}/kernels/cudnn_plans)
  add_test(NAME ${test} COMMAND test_kernels_cudnn_plans)
  set_tests_properties(${test} PROPERTIES SKIP_RETURN_CODE 77 TIMEOUT 1800 LABELS ${label}
    ENVIRONMENT "${environment};CAIRN_TEST_DEVICE=${device}")
  find_library(CUDNN_LIBRARY NAMES libcudnn.so.9 HINTS ${CUDNN_INCLUDE}/../lib
    ${CUDNN_INCLUDE}/../lib64)
  find_library(CUDA_STUB cuda HINTS ${CUDNN_INCLUDE}/../lib64/stubs)
  mark_as_advanced(CUDNN_LIBRARY CUDA_STUB)
  if(CAIRN_WITH_CUDNN AND CUDNN_LIBRARY AND CUDA_STUB)
    get_filename_component(folder ${CUDNN_LIBRARY} DIRECTORY)
    set(card ${CMAKE_BINARY_DIR}/tests/cudnn_card)
    add_library(cairn_real_cudnn SHARED tests/cudnn/real_card.c)
    target_include_directories(cairn_real_cudnn SYSTEM PRIVATE ${CUDNN_INCLUDE})
    target_compile_definitions(cairn_real_cudnn PRIVATE CUDNN_FOLDER="${folder}")
    target_link_libraries(cairn_real_cudnn PRIVATE cairn_options ${CMAKE_DL_LIBS})
    set_target_properties(cairn_real_cudnn PROPERTIES OUTPUT_NAME cudnn SUFFIX .so.9
      LIBRARY_OUTPUT_DIRECTORY ${card})
    file(MAKE_DIRECTORY ${card})
    file(CREATE_LINK ${CUDA_STUB} ${card}/libcuda.so.1 SYMBOLIC)
    set_tests_properties(${test} PROPERTIES ENVIRONMENT
      "${environment};CAIRN_TEST_DEVICE=${device};LD_LIBRARY_PATH=${card}:${folder};\
CAIRN_TEST_CUDNN_REAL=1")
  endif()
endif()

if(CAIRN_EMULATED AND NOT CAIRN_SANITIZE AND NOT CAIRN_BARE)
  include(cmake/emulator.cmake)
endif()
