// The C ABI of second-order training, in double precision.
#include "gram.h"
#include "windows.h"

extern "C" {

// The local functions of a layer's inputs, the outputs of the layer and the slopes of its edges. 1 where known intervals do
// not exist.
int ew_curves_f64(ew::ParallelFor parallel_for, int threads, const ew::CurvesArgs* args) {
  const ew::Curves curves(*args);
  if (args->known && !ew::within(args->interval, curves.sets * args->in * args->n, 0, args->intervals)) return 1;
  curves.run({parallel_for, threads});
  return 0;
}
// From derivatives in a layer's outputs to those in its inputs.
void ew_pull_back_f64(ew::ParallelFor, int, const double* u, const double* slope, double* v, int64_t starts, int64_t combinations, int64_t in, int64_t out, int64_t n) {
  ew::pull_back(u, slope, v, starts, combinations, in, out, n);
}
// Adds the Gauss-Newton matrix and the gradient. 1 + the number of a feature whose intervals or parameters do not exist.
int ew_gram_f64(ew::ParallelFor parallel_for, int threads, const ew::GramArgs* args) {
  const ew::Gram gram(*args);
  const int wrong = gram.wrong_feature();
  if (!wrong) gram.run({parallel_for, threads});
  return wrong;
}
}
