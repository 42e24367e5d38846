# fuzz.cmake - builds tests/fuzz/<x>.c as a libFuzzer program and makes it a test (-DCAIRN_FUZZ=ON).
#
# A target is one LLVMFuzzerTestOneInput(); seeds lie in tests/fuzz/<x>.seeds/, words
# in tests/fuzz/<x>.dict, both optional. It may use runtime/ and datasets/. It fails where it crashes,
# leaks, or needs longer than ten seconds for an input. Only clang has libFuzzer: with another
# compiler each test is skipped and says why.
include(CheckCSourceCompiles)

set(CMAKE_REQUIRED_FLAGS -fsanitize=fuzzer,address,undefined)
check_c_source_compiles("#include <stddef.h>
#include <stdint.h>
int LLVMFuzzerTestOneInput(const uint8_t *d, size_t n) { return n && d[0] ? 0 : 0; }"
  CAIRN_HAS_LIBFUZZER)
unset(CMAKE_REQUIRED_FLAGS)
if(CAIRN_HAS_LIBFUZZER)
  set(sanitizers -fsanitize=fuzzer-no-link,address,undefined)
endif()

enable_testing()
function(cairn_fuzz_targets)
  file(GLOB programs CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/tests/fuzz/*.c)
  foreach(program ${programs})
    get_filename_component(name ${program} NAME_WE)
    set(test ${CAIRN_TEST_PREFIX}fuzz/${name})
    if(CAIRN_HAS_LIBFUZZER)
      add_executable(fuzz_${name} ${program})
      target_link_libraries(fuzz_${name} ${CAIRN_FOLDERS})
      target_link_options(fuzz_${name} PRIVATE -fsanitize=fuzzer)
      add_test(NAME ${test} COMMAND bash ${CMAKE_SOURCE_DIR}/tests/fuzz/run.sh
        $<TARGET_FILE:fuzz_${name}> ${CMAKE_SOURCE_DIR}/tests/fuzz ${name})
    else()
      add_test(NAME ${test} COMMAND bash -c
        "echo 'skipped: ${CMAKE_C_COMPILER} has no libFuzzer (package libclang-rt-14-dev)'; exit 77")
    endif()
    set_tests_properties(${test} PROPERTIES SKIP_RETURN_CODE 77 TIMEOUT 1800)
  endforeach()
endfunction()
