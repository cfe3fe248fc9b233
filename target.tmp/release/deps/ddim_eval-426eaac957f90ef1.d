/work/wt/base/target/release/deps/ddim_eval-426eaac957f90ef1.d: crates/ddim-eval/src/lib.rs crates/ddim-eval/src/error.rs crates/ddim-eval/src/features.rs crates/ddim-eval/src/figures.rs crates/ddim-eval/src/frechet.rs crates/ddim-eval/src/kernel.rs crates/ddim-eval/src/likelihood.rs crates/ddim-eval/src/neighbours.rs crates/ddim-eval/src/statistics.rs crates/ddim-eval/src/sweep.rs crates/ddim-eval/src/table.rs crates/ddim-eval/src/weights.rs crates/ddim-eval/src/../fonts/DejaVuSans-subset.ttf

/work/wt/base/target/release/deps/libddim_eval-426eaac957f90ef1.rlib: crates/ddim-eval/src/lib.rs crates/ddim-eval/src/error.rs crates/ddim-eval/src/features.rs crates/ddim-eval/src/figures.rs crates/ddim-eval/src/frechet.rs crates/ddim-eval/src/kernel.rs crates/ddim-eval/src/likelihood.rs crates/ddim-eval/src/neighbours.rs crates/ddim-eval/src/statistics.rs crates/ddim-eval/src/sweep.rs crates/ddim-eval/src/table.rs crates/ddim-eval/src/weights.rs crates/ddim-eval/src/../fonts/DejaVuSans-subset.ttf

/work/wt/base/target/release/deps/libddim_eval-426eaac957f90ef1.rmeta: crates/ddim-eval/src/lib.rs crates/ddim-eval/src/error.rs crates/ddim-eval/src/features.rs crates/ddim-eval/src/figures.rs crates/ddim-eval/src/frechet.rs crates/ddim-eval/src/kernel.rs crates/ddim-eval/src/likelihood.rs crates/ddim-eval/src/neighbours.rs crates/ddim-eval/src/statistics.rs crates/ddim-eval/src/sweep.rs crates/ddim-eval/src/table.rs crates/ddim-eval/src/weights.rs crates/ddim-eval/src/../fonts/DejaVuSans-subset.ttf

crates/ddim-eval/src/lib.rs:
crates/ddim-eval/src/error.rs:
crates/ddim-eval/src/features.rs:
crates/ddim-eval/src/figures.rs:
crates/ddim-eval/src/frechet.rs:
crates/ddim-eval/src/kernel.rs:
crates/ddim-eval/src/likelihood.rs:
crates/ddim-eval/src/neighbours.rs:
crates/ddim-eval/src/statistics.rs:
crates/ddim-eval/src/sweep.rs:
crates/ddim-eval/src/table.rs:
crates/ddim-eval/src/weights.rs:
crates/ddim-eval/src/../fonts/DejaVuSans-subset.ttf:
