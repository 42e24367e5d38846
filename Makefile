# Cairn's commands, one line each; CMake does the work.
#
#   make            builds into build/
#   make demo       installs what is missing, builds, fine-tunes a real model: see README.md
#   make demo MODEL=DIR  the same from a model on disk, without the network; OUTPUT=DIR names
#                   another folder than build/demo for the run
#   make check      installs what is missing, builds, runs every test, plain, under the sanitizers,
#                   and the fuzz targets for FUZZ_SECONDS each
#   make bundle     a folder that runs on other machines, build/cairn-*.tar.gz
#   make install    into PREFIX
#   make format     lets clang-format decide white space
PREFIX ?= /usr/local
FUZZ_SECONDS ?= 60
JOBS ?= $(shell nproc)
BUILD = build
export FUZZ_SECONDS JOBS MODEL

.PHONY: all demo check bundle install format clean
all:
	@cmake --log-level=WARNING -S . -B $(BUILD) -DCMAKE_INSTALL_PREFIX=$(PREFIX)
	cmake --build $(BUILD) -j $(JOBS)

demo:
	deploy/install-packages.sh
	$(MAKE) --no-print-directory all
	deploy/demo.sh

check:
	deploy/check.sh

bundle:
	deploy/bundle.sh

install: all
	cmake --install $(BUILD) --prefix $(PREFIX)

format:
	clang-format -i $$(git ls-files -co --exclude-standard '*.[ch]' '*.cu' '*.cuh')

clean:
	rm -rf build
