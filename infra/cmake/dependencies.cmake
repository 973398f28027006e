# What the core stands on. A missing library is named with the Debian package that has it.
find_package(Threads REQUIRED)
find_package(PkgConfig)
if(NOT PKG_CONFIG_FOUND)
    message(FATAL_ERROR "pkg-config is missing: install the Debian package pkg-config (or run infra/scripts/deps.sh)")
endif()

# reco_need(PREFIX pkg-config-name debian-package): the imported target PkgConfig::PREFIX, or an error that says what to install.
function(reco_need prefix module package)
    pkg_check_modules(${prefix} QUIET IMPORTED_TARGET GLOBAL ${module})
    if(NOT ${prefix}_FOUND)
        message(FATAL_ERROR "${module} is missing: install the Debian package ${package} (or run infra/scripts/deps.sh)")
    endif()
    set(${prefix}_VERSION ${${prefix}_VERSION} PARENT_SCOPE)
endfunction()

reco_need(LMDB lmdb liblmdb-dev)
reco_need(JANSSON jansson libjansson-dev)
reco_need(YAML yaml-0.1 libyaml-dev)
reco_need(XXHASH libxxhash libxxhash-dev)
if(RECO_BUILD_TESTS)
    reco_need(CHECK check check)
endif()
set(reco_dependencies PkgConfig::LMDB PkgConfig::JANSSON PkgConfig::YAML PkgConfig::XXHASH Threads::Threads ${CMAKE_DL_LIBS} m)
