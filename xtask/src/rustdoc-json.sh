#!/bin/sh
# rustdoc with its JSON, which it has not declared stable. The compiler itself runs without the variable: build scripts look
# at it, and much would be built anew.
RUSTC_BOOTSTRAP=1 exec rustdoc "$@"
