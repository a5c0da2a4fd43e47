# gannet_small(<target>): a program or shared library of deployment, linked without what it does not call. What it links
# is compiled for that (DEPLOYED): each function in a section of its own.
# What runs seldom is compiled with GANNET_SMALL_OPTIONS as well.
set(GANNET_SMALL_OPTIONS $<$<NOT:$<CONFIG:Debug>>:-Os>)
# What -O3 unrolls would be a sixth of a program; only kernels (runtime/CMakeLists.txt) are worth it.
set(GANNET_DEPLOYED_OPTIONS -ffunction-sections -fdata-sections -fvisibility=hidden -fvisibility-inlines-hidden
  $<$<CONFIG:Release>:-O2>)
check_linker_flag(CXX "${GANNET_LINKER_OPTION};-Wl,--icf=all" GANNET_LINKER_FOLDS_EQUAL_CODE)
function(gannet_small name)
  # Nothing there compares addresses of functions.
  target_link_options(${name} PRIVATE -Wl,--gc-sections $<$<BOOL:${GANNET_LINKER_FOLDS_EQUAL_CODE}>:-Wl,--icf=all>)
endfunction()

# gannet_library(<name> [FLAT] [DEPLOYED] SOURCES <glob>... [LINK <target>...] [HIDDEN <target>...])
# A static library of the files that match, in subfolders too unless FLAT, looked for again at each build so that a new
# file needs no edit here. What it links HIDDEN, its users do not see. Where nothing matches, an interface library of
# the same name. DEPLOYED: for gannet_small.
function(gannet_library name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "FLAT;DEPLOYED" "" "SOURCES;LINK;HIDDEN")
  list(TRANSFORM arg_SOURCES PREPEND ${CMAKE_CURRENT_SOURCE_DIR}/)
  if(arg_FLAT)
    file(GLOB sources CONFIGURE_DEPENDS ${arg_SOURCES})
  else()
    file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${arg_SOURCES})
  endif()
  if(sources)
    add_library(${name} STATIC ${sources})
    set(scope PUBLIC)
    target_link_libraries(${name} PRIVATE ${arg_HIDDEN})
    if(arg_DEPLOYED)
      target_compile_options(${name} PRIVATE ${GANNET_DEPLOYED_OPTIONS})
    endif()
  else()
    add_library(${name} INTERFACE)
    set(scope INTERFACE)
  endif()
  target_include_directories(${name} ${scope} ${PROJECT_SOURCE_DIR})
  target_link_libraries(${name} ${scope} ${arg_LINK})
endfunction()

# gannet_tests(<folder> LINK <target>...)
# The executable gannet_tests_<folder> of tests/<folder>/*.cpp. A test suite whose name starts with Nightly gets the
# label `nightly`, every other one `default`.
function(gannet_tests folder)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "" "LINK")
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/${folder}/*.cpp)
  if(NOT sources)
    return()
  endif()
  set(name gannet_tests_${folder})
  add_executable(${name} ${sources})
  target_link_libraries(${name} PRIVATE gannet_test_support ${arg_LINK} GTest::gmock GTest::gtest GTest::gtest_main)
  gtest_discover_tests(${name} TEST_FILTER "-Nightly*" DISCOVERY_MODE PRE_TEST DISCOVERY_TIMEOUT 60
    WORKING_DIRECTORY ${PROJECT_SOURCE_DIR} PROPERTIES LABELS default TIMEOUT 300)
  gtest_discover_tests(${name} TEST_FILTER "Nightly*" DISCOVERY_MODE PRE_TEST DISCOVERY_TIMEOUT 60
    WORKING_DIRECTORY ${PROJECT_SOURCE_DIR} PROPERTIES LABELS nightly TIMEOUT 7200)
endfunction()
