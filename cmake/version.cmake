# version.cmake - writes the version that `cairn --version` prints, at build time.
#
#   cmake -DSOURCE=. -DVERSION=0.1.0 -DOUTPUT=x.h -P version.cmake
#
# In a git checkout it is "0.1.0 (401f99f)", with "-dirty" behind the commit where tracked files
# differ from it; elsewhere "0.1.0". No time, no host: the same source gives the same bytes. The
# file is touched only where its text changes.
cmake_minimum_required(VERSION 3.25)
set(text "${VERSION}")
find_program(GIT git)
if(GIT AND EXISTS "${SOURCE}/.git")
  execute_process(COMMAND ${GIT} -c "safe.directory=*" describe --always --dirty
    --abbrev=10 --exclude=*
    WORKING_DIRECTORY "${SOURCE}" OUTPUT_VARIABLE commit RESULT_VARIABLE failed ERROR_QUIET
    OUTPUT_STRIP_TRAILING_WHITESPACE)
  if(NOT failed AND commit)
    set(text "${VERSION} (${commit})")
  endif()
endif()
file(CONFIGURE OUTPUT "${OUTPUT}" CONTENT "#define VERSION_TEXT \"@text@\"\n" @ONLY)
