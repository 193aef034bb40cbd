/** @file ONNX Runtime on a page, which runs the whole SDK in a worker: sessions need none of their own. */

import { OrtRuntime } from '../../ort.ts';

/** ONNX Runtime in this thread. */
export class WorkerRuntime extends OrtRuntime {
  /** Runs in this thread end with it. */
  terminate(): void {
    // Nothing runs elsewhere.
  }
}
