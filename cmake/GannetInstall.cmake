# What `cmake --install` puts where: the programs, and libgannet with its headers, CMake package and pkg-config file.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

install(TARGETS gannet gannet-run gannet-opt RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR} COMPONENT programs)
install(TARGETS gannet_shared EXPORT gannet-targets COMPONENT library LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(FILES ${PROJECT_SOURCE_DIR}/runtime/api/gannet.h ${PROJECT_SOURCE_DIR}/runtime/api/gannet.hpp
  DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} COMPONENT library)

set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/gannet)
install(EXPORT gannet-targets NAMESPACE gannet:: DESTINATION ${package_dir} COMPONENT library)
configure_file(${CMAKE_CURRENT_LIST_DIR}/gannet-config.cmake.in ${PROJECT_BINARY_DIR}/gannet-config.cmake @ONLY)
# Minor versions of 0.x may differ.
write_basic_package_version_file(${PROJECT_BINARY_DIR}/gannet-config-version.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/gannet-config.cmake ${PROJECT_BINARY_DIR}/gannet-config-version.cmake
  DESTINATION ${package_dir} COMPONENT library)
# Its paths are those of the prefix at the time of the installation.
set(pc_in ${CMAKE_CURRENT_LIST_DIR}/gannet.pc.in)
install(CODE "
  set(PROJECT_VERSION ${PROJECT_VERSION})
  set(CMAKE_INSTALL_LIBDIR ${CMAKE_INSTALL_LIBDIR})
  set(CMAKE_INSTALL_INCLUDEDIR ${CMAKE_INSTALL_INCLUDEDIR})
  configure_file(\"${pc_in}\" \"${PROJECT_BINARY_DIR}/gannet.pc\" @ONLY)
  file(INSTALL \"${PROJECT_BINARY_DIR}/gannet.pc\" DESTINATION \"\${CMAKE_INSTALL_PREFIX}/${CMAKE_INSTALL_LIBDIR}/pkgconfig\")
" COMPONENT library)
