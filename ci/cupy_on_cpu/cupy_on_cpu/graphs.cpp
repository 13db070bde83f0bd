// CUDA graphs: kernels launched on a stream that is captured are remembered, not run; launching the graph runs
// them in order. As in CUDA, whatever else is asked of the device during a capture is an error.
#include "host_cuda.h"
#include <functional>
#include <vector>

enum { CAPTURE_UNSUPPORTED = 900, CAPTURE_IMPLICIT = 906, ILLEGAL_STATE = 401 };
struct Graph { std::vector<std::function<int()>> nodes; };
static thread_local Graph* captured = nullptr;
static thread_local void* captured_stream = nullptr;

int refuse_in_capture(const char* what) {
  return captured ? fail(CAPTURE_UNSUPPORTED, "%s while a stream is captured: not what a CUDA graph holds", what) : 0;
}
bool is_captured(void* stream, int* status) {
  *status = 0;
  if (!captured) return false;
  if (stream != captured_stream) *status = fail(CAPTURE_IMPLICIT, "a launch on another stream than the one that is captured");
  return true;
}
void capture(std::function<int()> launch) { captured->nodes.push_back(std::move(launch)); }

API(cudaError_t, cudaStreamIsCapturing)(void* stream, void* status) {
  *(int*)status = captured && stream == captured_stream;
  return 0;
}
API(cudaError_t, cudaStreamBeginCapture)(void* stream, int) {
  if (captured || !stream) return fail(ILLEGAL_STATE, captured ? "a stream is captured already" : "the default stream cannot be captured");
  captured = new Graph, captured_stream = stream;
  return 0;
}
API(cudaError_t, cudaStreamEndCapture)(void* stream, void* graph) {
  if (!captured || stream != captured_stream) return fail(ILLEGAL_STATE, "this stream is not captured");
  *(Graph**)graph = captured;
  captured = nullptr;
  return 0;
}
API(cudaError_t, cudaGraphInstantiate)(void* executable, void* graph, ...) { *(Graph**)executable = new Graph(*(Graph*)graph); return 0; }
API(cudaError_t, cudaGraphUpload)(void*, void*) { return refuse_in_capture("uploading a graph"); }
API(cudaError_t, cudaGraphLaunch)(void* executable, void*) {
  if (int status = refuse_in_capture("launching a graph")) return status;
  for (auto& node : ((Graph*)executable)->nodes)
    if (int status = node()) return status;
  return 0;
}
API(cudaError_t, cudaGraphDestroy)(void* graph) { delete (Graph*)graph; return 0; }
API(cudaError_t, cudaGraphExecDestroy)(void* executable) { delete (Graph*)executable; return 0; }
