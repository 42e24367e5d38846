# embed.cmake - turns text files into one C table, without any tool but CMake.
#
#   cmake -DTABLE=RECIPES -DHEADER=train/recipes.h -DOUTPUT=x.c "-DFILES=a.yaml;b.yaml" -P embed.cmake
#
# writes `const EmbeddedFile RECIPES[]`: a row for each file, its name without folder and extension,
# its bytes as a string; the last row is NULL. Rows come in the order of the names.
cmake_minimum_required(VERSION 3.25)
list(SORT FILES)
set(texts "")
set(rows "")
set(number 0)
foreach(file IN LISTS FILES)
  get_filename_component(name "${file}" NAME_WE)
  file(READ "${file}" bytes HEX)
  # One C string for each 32 bytes; neighbouring strings are one string.
  string(REGEX REPLACE "(................................................................)"
    "\\1\n" bytes "${bytes}")
  string(REGEX REPLACE "([0-9a-f][0-9a-f])" "\\\\x\\1" bytes "${bytes}")
  string(REPLACE "\n" "\"\n    \"" bytes "${bytes}")
  string(APPEND texts "static const char text_${number}[] =\n    \"${bytes}\";\n")
  string(APPEND rows "    {\"${name}\", text_${number}},\n")
  math(EXPR number "${number} + 1")
endforeach()
file(CONFIGURE OUTPUT "${OUTPUT}" CONTENT
"/* Made by cmake/embed.cmake; do not edit. */
#include \"@HEADER@\"

@texts@
const EmbeddedFile @TABLE@[] = {
@rows@    {0, 0},
};
" @ONLY)
