# emulator.cmake - the emulator of CUDA (tests/emulator) as a library, in the variants plain, asan
# (address and undefined behaviour) and tsan, and its own checks in each.
#
# A program of variant V compiles its .cu files with ${emulator_compile} and ${emulator_flags_V} and
# links cairn_emulator_V. The emulator's files are never compiled with -fsanitize=thread: to
# ThreadSanitizer its book-keeping must not exist.
enable_language(CXX)
find_package(Threads REQUIRED)
set(emulator_dir ${CMAKE_SOURCE_DIR}/tests/emulator)
file(GLOB emulator_sources CONFIGURE_DEPENDS ${emulator_dir}/*.cu)
file(GLOB emulator_checks CONFIGURE_DEPENDS ${emulator_dir}/checks/*.cu)
set_source_files_properties(${emulator_sources} ${emulator_checks} PROPERTIES LANGUAGE CXX)

set(emulator_variants plain asan tsan)
set(emulator_flags_plain "")
set(emulator_flags_asan -g -fsanitize=address,undefined -fno-sanitize-recover=undefined
  -fno-omit-frame-pointer)
set(emulator_flags_tsan -g -fsanitize=thread)
set(emulator_label_plain emulated)
set(emulator_label_asan emulated_asan)
set(emulator_label_tsan emulated_tsan)
# -O1: compiling is most of the time of a test. No type-based aliasing, as nvcc has none.
set(emulator_compile -x c++ -std=c++20 -O1 -march=x86-64-v3 -fno-strict-aliasing -Wall -Wextra
  -Wno-unknown-pragmas)
if(CAIRN_WERROR)
  list(APPEND emulator_compile -Werror)
endif()

foreach(variant IN LISTS emulator_variants)
  add_library(cairn_emulator_${variant} STATIC ${emulator_sources})
  target_include_directories(cairn_emulator_${variant} PRIVATE ${CMAKE_SOURCE_DIR})
  target_link_libraries(cairn_emulator_${variant} PUBLIC Threads::Threads)
  target_compile_options(cairn_emulator_${variant} PRIVATE ${emulator_compile})
  if(variant STREQUAL "tsan")
    target_compile_definitions(cairn_emulator_${variant} PRIVATE EMULATOR_TSAN)
  else()
    target_compile_options(cairn_emulator_${variant} PRIVATE ${emulator_flags_${variant}})
  endif()
  target_link_options(cairn_emulator_${variant} PUBLIC ${emulator_flags_${variant}})
endforeach()

# ---- its own checks ----

set(emulator_environment "ASAN_OPTIONS=detect_leaks=0;CAIRN_SOURCE=${CMAKE_SOURCE_DIR}")
foreach(variant IN LISTS emulator_variants)
  add_library(emulator_checks_${variant} STATIC ${CMAKE_SOURCE_DIR}/tests/test.c
    ${CMAKE_SOURCE_DIR}/runtime/status.c)
  target_include_directories(emulator_checks_${variant} PUBLIC ${CMAKE_SOURCE_DIR})
  target_compile_definitions(emulator_checks_${variant} PRIVATE _GNU_SOURCE
    CAIRN_SOURCE_DIR="${CMAKE_SOURCE_DIR}")
  target_compile_options(emulator_checks_${variant} PRIVATE ${emulator_flags_${variant}})
  target_link_libraries(emulator_checks_${variant} PUBLIC cairn_emulator_${variant})
  foreach(source IN LISTS emulator_checks)
    get_filename_component(name ${source} NAME_WE)
    set(program emulator_${name}_${variant})
    add_executable(${program} ${source})
    target_include_directories(${program} PRIVATE ${emulator_dir} ${CMAKE_SOURCE_DIR})
    target_compile_definitions(${program} PRIVATE WITH_CUDA WITH_EMULATOR)
    target_compile_options(${program} PRIVATE ${emulator_compile} ${emulator_flags_${variant}}
      -include emulator.h)
    target_link_libraries(${program} PRIVATE emulator_checks_${variant})
    set(test ${CAIRN_TEST_PREFIX}${emulator_label_${variant}}/emulator/${name})
    set(script modes)
    if(name STREQUAL "faults")
      set(script faults)
    endif()
    add_test(NAME ${test} COMMAND bash ${emulator_dir}/checks/${script}.sh
      $<TARGET_FILE:${program}> ${variant})
    set_tests_properties(${test} PROPERTIES SKIP_RETURN_CODE 77 TIMEOUT 600
      LABELS ${emulator_label_${variant}} ENVIRONMENT "${emulator_environment}")
  endforeach()
endforeach()
