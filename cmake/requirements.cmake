# requirements.cmake - looks for every library that Cairn stands on and, where any is missing, stops
# with one line that names all of them and the package that brings each.
#
# Gives the targets OpenMP::OpenMP_C, PkgConfig::<NAME> for each row of `libraries`, and
# cairn_dnnl. packages.txt lists the same packages for the install script. A bare build (bare.cmake)
# looks for nothing that does not come with the compiler.
set(missing "")

if(NOT CAIRN_BARE)
  find_package(PkgConfig)
  if(NOT PKG_CONFIG_FOUND)
    list(APPEND missing "pkg-config (package pkg-config)")
  endif()
endif()
find_package(OpenMP COMPONENTS C)
if(NOT OpenMP_C_FOUND)
  list(APPEND missing "OpenMP for the C compiler (package gcc)")
endif()

# oneDNN's own CMake package asks for OpenCL, which its CPU part does not need.
find_library(DNNL_LIBRARY dnnl)
find_path(DNNL_INCLUDE dnnl.h)
mark_as_advanced(DNNL_LIBRARY DNNL_INCLUDE)
if(CAIRN_BARE)
  add_library(cairn_dnnl INTERFACE IMPORTED)
elseif(DNNL_LIBRARY AND DNNL_INCLUDE)
  add_library(cairn_dnnl INTERFACE IMPORTED)
  set_target_properties(cairn_dnnl PROPERTIES INTERFACE_LINK_LIBRARIES ${DNNL_LIBRARY}
    INTERFACE_INCLUDE_DIRECTORIES ${DNNL_INCLUDE})
else()
  list(APPEND missing "oneDNN (package libdnnl-dev)")
endif()
find_library(MVEC_LIBRARY mvec)
mark_as_advanced(MVEC_LIBRARY)
if(NOT MVEC_LIBRARY)
  list(APPEND missing "glibc's vector mathematics, libmvec (package libc6-dev, on x86-64)")
endif()

# name for CMake, pkg-config module, least version, package
set(libraries
  "HDF5|hdf5|1.10|libhdf5-dev"
  "JANSSON|jansson|2.13|libjansson-dev"
  "YAML|yaml-0.1|0.2.2|libyaml-dev"
  "UTF8PROC|libutf8proc|2.5|libutf8proc-dev"
  "CURL|libcurl|7.85|libcurl4-openssl-dev"
  "ZIP|libzip|1.7|libzip-dev"
  "CRYPTO|libcrypto|3.0|libssl-dev"
  "ZLIB|zlib|1.2.11|zlib1g-dev")
if(CAIRN_BARE)
  set(libraries "")
endif()
set(CAIRN_LIBRARIES "")
set(CAIRN_PC_REQUIRES "")
foreach(row IN LISTS libraries)
  string(REPLACE "|" ";" row "${row}")
  list(POP_FRONT row name module version package)
  if(PKG_CONFIG_FOUND)
    pkg_check_modules(${name} QUIET IMPORTED_TARGET "${module}>=${version}")
  endif()
  if(${name}_FOUND)
    list(APPEND CAIRN_LIBRARIES PkgConfig::${name})
    list(APPEND CAIRN_PC_REQUIRES "${module} >= ${version}")
  else()
    list(APPEND missing "${module} ${version} or later (package ${package})")
  endif()
endforeach()
list(JOIN CAIRN_PC_REQUIRES ", " CAIRN_PC_REQUIRES)

if(missing)
  list(JOIN missing "; " missing)
  # a notice stands on one line; an error would be broken at 78 columns
  message(NOTICE "Missing: ${missing}. deploy/install-packages.sh installs all of them.")
  message(FATAL_ERROR "Libraries are missing; the line above names them.")
endif()
