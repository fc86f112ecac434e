# SPDX-License-Identifier: GPL-3.0-or-later
#
# Finds ONNX Runtime: a C header to compile against and, when the system has none, a library to ship.
#
# Order: ONNXRUNTIME_ROOT, the system's (pkg-config libonnxruntime), else a bundled runtime, pinned
# and verified, fetched with the machine's own clients (pip or npm; the header with apt). Nothing is
# linked: the library is loaded when first needed.
#
#   ONNXRuntime_FOUND          a header was found
#   ONNXRuntime_INCLUDE_DIR    where onnxruntime_c_api.h is
#   ONNXRuntime_LIBRARY        the library to put beside the program, or empty (the system's is used)
#   ONNXRuntime_VERSION        version of that library
#   ONNXRUNTIME_OFFLINE        ON: never fetch anything

set(ONNXRUNTIME_ROOT "" CACHE PATH "An unpacked ONNX Runtime to use (include/ and lib/)")
option(ONNXRUNTIME_OFFLINE "Do not fetch ONNX Runtime" OFF)
set(ONNXRUNTIME_CACHE "${CMAKE_SOURCE_DIR}/.deps" CACHE PATH "Where fetched packages are kept")

# --- the table: one row per platform and source, best first ---------------------------------------
# system | processor | client | package and version | platform tag | members, the library first | SHA-256 of the package
# macOS takes the release archive, which has CoreML; Windows the DirectML package.
set(_ONNXRUNTIME_PACKAGES
  "Linux|x64|pip|onnxruntime==1.30.0|manylinux_2_28_x86_64|onnxruntime/capi/libonnxruntime.so.1.30.0,onnxruntime/LICENSE,onnxruntime/ThirdPartyNotices.txt|fa688e7891a6aa206636fe7372e27ee75fd17713289f6b4fc7b190e0a7de9328"
  "Linux|x64|npm|onnxruntime-node@1.30.0|-|package/bin/napi-v6/linux/x64/libonnxruntime.so.1|6e3390d6b783e7be946fad629292799da28d0b42f84856e50d2c1b0383291e75"
  "Linux|x64|github|onnxruntime-linux-x64@1.29.0|-|onnxruntime-linux-x64-1.29.0/lib/libonnxruntime.so.1.29.0|c3fddc4f139a045b0c4902c57410f0694f1c2fdf9b6939fbe38b1aeae7cd14ba"
  "Linux|arm64|pip|onnxruntime==1.30.0|manylinux_2_28_aarch64|onnxruntime/capi/libonnxruntime.so.1.30.0,onnxruntime/LICENSE,onnxruntime/ThirdPartyNotices.txt|6c32a000d5139a38ba9349030b0032e3331acb559d596b22738d9d2b343a2b83"
  "Linux|arm64|npm|onnxruntime-node@1.30.0|-|package/bin/napi-v6/linux/arm64/libonnxruntime.so.1|6e3390d6b783e7be946fad629292799da28d0b42f84856e50d2c1b0383291e75"
  "Linux|arm64|github|onnxruntime-linux-aarch64@1.29.0|-|onnxruntime-linux-aarch64-1.29.0/lib/libonnxruntime.so.1.29.0|e1799098ebc054b370f6176a450f158720f297818c613e5dc99b92e2ec82346f"
  "Darwin|arm64|github|onnxruntime-osx-arm64@1.29.0|-|onnxruntime-osx-arm64-1.29.0/lib/libonnxruntime.1.29.0.dylib|d0706fc34f315d8c88639d0a8c81f2e09e815f282cabed3493c06a054352cf92"
  "Darwin|arm64|pip|onnxruntime==1.30.0|macosx_14_0_arm64|onnxruntime/capi/libonnxruntime.1.30.0.dylib,onnxruntime/LICENSE,onnxruntime/ThirdPartyNotices.txt|001ed726c9bd5e2bc92faade7d37d889e9606a350b7d5529f0227df2e3bb57fd"
  "Windows|x64|pip|onnxruntime-directml==1.24.4|win_amd64|onnxruntime/capi/onnxruntime.dll,onnxruntime/capi/DirectML.dll,onnxruntime/LICENSE,onnxruntime/ThirdPartyNotices.txt|f2ecb68b7b7b259d2ef3112ae760149f9b5a1e7c0fbb73d539da6250a648a614"
)

# The rows for one platform, as a list; empty when there is none.
function(onnxruntime_packages_for system processor result)
  string(TOLOWER "${processor}" processor)
  string(REGEX REPLACE "^(x86_64|amd64)$" "x64" processor "${processor}")
  string(REGEX REPLACE "^(aarch64|arm64)$" "arm64" processor "${processor}")
  set(rows "")
  foreach(row IN LISTS _ONNXRUNTIME_PACKAGES)
    string(REPLACE "|" ";" field "${row}")
    list(GET field 0 row_system)
    list(GET field 1 row_processor)
    if(row_system STREQUAL system AND row_processor STREQUAL processor)
      list(APPEND rows "${row}")
    endif()
  endforeach()
  set(${result} "${rows}" PARENT_SCOPE)
endfunction()

# Downloads one package into `folder` with its client; the caller verifies what came.
function(_onnxruntime_download client package tag folder)
  string(REGEX MATCH "^([^=@]+)[=@]+(.+)$" _ "${package}")
  if(client STREQUAL "pip")
    find_program(ONNXRUNTIME_PYTHON NAMES python3 python)
    set(command ${ONNXRUNTIME_PYTHON} -m pip --disable-pip-version-check download --quiet --no-deps
        --only-binary=:all: --implementation cp --python-version 3.12 --abi cp312
        --platform ${tag} --dest ${folder} ${package})
  elseif(client STREQUAL "npm")
    find_program(ONNXRUNTIME_NPM NAMES npm)
    set(command ${ONNXRUNTIME_NPM} pack --silent --ignore-scripts --pack-destination ${folder} ${package})
  else()
    set(archive "${CMAKE_MATCH_1}-${CMAKE_MATCH_2}.tgz")
    file(DOWNLOAD "https://github.com/microsoft/onnxruntime/releases/download/v${CMAKE_MATCH_2}/${archive}"
         "${folder}/${archive}" INACTIVITY_TIMEOUT 30 STATUS status)
    list(GET status 0 code)
    if(NOT code EQUAL 0)
      message(STATUS "ONNX Runtime: ${archive} could not be downloaded (${status})")
      file(REMOVE "${folder}/${archive}")
    endif()
    return()
  endif()
  execute_process(COMMAND ${command} WORKING_DIRECTORY ${folder} TIMEOUT 600
                  RESULT_VARIABLE code OUTPUT_QUIET ERROR_VARIABLE words)
  if(NOT code EQUAL 0)
    string(STRIP "${words}" words)
    string(REGEX REPLACE "\n.*" "" words "${words}")
    message(STATUS "ONNX Runtime: ${client} could not get ${package} (${words})")
  endif()
endfunction()

# Fetches one row: download, verify, unpack the library. Sets `result` to its path, or to "".
function(_onnxruntime_fetch row result)
  string(REPLACE "|" ";" field "${row}")
  list(GET field 2 client)
  list(GET field 3 package)
  list(GET field 4 tag)
  list(GET field 5 members)
  list(GET field 6 sha256)
  string(REGEX MATCH "[0-9.]+$" version "${package}")
  set(${result} "" PARENT_SCOPE)
  string(REPLACE "," ";" members "${members}")
  list(GET members 0 member)
  get_filename_component(name "${member}" NAME)
  set(folder "${ONNXRUNTIME_CACHE}/onnxruntime-${version}-${client}")
  string(MD5 contents "${members}")
  set(stamp "${folder}/${sha256}-${contents}.ok")
  if(EXISTS "${stamp}")
    set(${result} "${folder}/lib/${name}" PARENT_SCOPE)
    return()
  endif()
  if(ONNXRUNTIME_OFFLINE)
    return()
  endif()
  message(STATUS "ONNX Runtime: fetching ${package} with ${client}")
  # several builds may configure at once
  file(MAKE_DIRECTORY "${ONNXRUNTIME_CACHE}")
  file(LOCK "${ONNXRUNTIME_CACHE}/lock" GUARD FUNCTION TIMEOUT 900)
  file(REMOVE_RECURSE "${folder}")
  file(MAKE_DIRECTORY "${folder}/download" "${folder}/lib")
  _onnxruntime_download(${client} ${package} "${tag}" "${folder}/download")
  file(GLOB archive "${folder}/download/*")
  if(NOT archive)
    return()
  endif()
  file(SHA256 "${archive}" found)
  if(NOT found STREQUAL sha256)
    message(WARNING "ONNX Runtime: ${package} is not what is pinned: SHA-256 ${found}, expected "
                    "${sha256}. It is not used.")
    return()
  endif()
  file(ARCHIVE_EXTRACT INPUT "${archive}" DESTINATION "${folder}/unpacked" PATTERNS ${members})
  foreach(member IN LISTS members)
    file(COPY "${folder}/unpacked/${member}" DESTINATION "${folder}/lib")
  endforeach()
  file(REMOVE_RECURSE "${folder}/unpacked" "${folder}/download")
  file(WRITE "${stamp}" "${package}\n")
  set(${result} "${folder}/lib/${name}" PARENT_SCOPE)
endfunction()

# The C header alone, out of Debian's development package, unpacked and not installed.
function(_onnxruntime_fetch_header result)
  set(folder "${ONNXRUNTIME_CACHE}/onnxruntime-header")
  if(NOT EXISTS "${folder}/include/onnxruntime_c_api.h" AND NOT ONNXRUNTIME_OFFLINE)
    message(STATUS "ONNX Runtime: fetching the C header with apt")
    file(MAKE_DIRECTORY "${ONNXRUNTIME_CACHE}")
    file(LOCK "${ONNXRUNTIME_CACHE}/lock" GUARD FUNCTION TIMEOUT 900)
    execute_process(COMMAND sh "${CMAKE_CURRENT_FUNCTION_LIST_DIR}/../get-onnxruntime-header.sh" "${folder}"
                    TIMEOUT 600 ERROR_VARIABLE words RESULT_VARIABLE code)
    if(NOT code EQUAL 0)
      message(STATUS "ONNX Runtime: the header could not be fetched: ${words}")
    endif()
  endif()
  if(EXISTS "${folder}/include/onnxruntime_c_api.h")
    set(${result} "${folder}/include" PARENT_SCOPE)
  endif()
endfunction()

# --- the search -----------------------------------------------------------------------------------
function(_onnxruntime_find)
  set(include "")
  set(library "")
  if(ONNXRUNTIME_ROOT)
    find_path(include_root onnxruntime_c_api.h NO_CACHE NO_DEFAULT_PATH
              PATHS "${ONNXRUNTIME_ROOT}/include" "${ONNXRUNTIME_ROOT}/include/onnxruntime"
                    "${ONNXRUNTIME_ROOT}/include/onnxruntime/core/session")
    find_library(library_root NAMES onnxruntime libonnxruntime.so.1 NO_CACHE NO_DEFAULT_PATH
                 PATHS "${ONNXRUNTIME_ROOT}/lib" "${ONNXRUNTIME_ROOT}/lib64")
    if(include_root)
      set(include "${include_root}")
    endif()
    if(library_root)
      set(library "${library_root}")
    endif()
  endif()
  find_package(PkgConfig QUIET)
  if(NOT include AND PKG_CONFIG_FOUND)
    pkg_check_modules(SYSTEM_ORT QUIET libonnxruntime)
    if(SYSTEM_ORT_FOUND)
      find_path(include_system onnxruntime_c_api.h NO_CACHE HINTS ${SYSTEM_ORT_INCLUDE_DIRS}
                PATH_SUFFIXES onnxruntime onnxruntime/core/session)
      set(include "${include_system}")
      set(library "system")
    endif()
  endif()
  if(NOT include)
    _onnxruntime_fetch_header(include)
  endif()
  if(NOT library)
    onnxruntime_packages_for("${CMAKE_SYSTEM_NAME}" "${CMAKE_SYSTEM_PROCESSOR}" rows)
    foreach(row IN LISTS rows)
      if(NOT library)
        _onnxruntime_fetch("${row}" library)
      endif()
    endforeach()
  endif()
  if(library STREQUAL "system")
    set(library "")
  elseif(NOT library)
    message(STATUS "ONNX Runtime: none to ship was found; the system's is looked for at run time")
  endif()
  set(ONNXRuntime_INCLUDE_DIR "${include}" PARENT_SCOPE)
  set(ONNXRuntime_LIBRARY "${library}" PARENT_SCOPE)
endfunction()

# Included by a test, only the table and its functions are wanted.
if(NOT ONNXRUNTIME_TABLE_ONLY)
  _onnxruntime_find()
  include(FindPackageHandleStandardArgs)
  find_package_handle_standard_args(ONNXRuntime REQUIRED_VARS ONNXRuntime_INCLUDE_DIR)
endif()
