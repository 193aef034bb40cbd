/** @file Whether OpenVINO is on this machine. */

import { findLibrary } from '@onnx-lora/openvino';

/** Without it, tests on OpenVINO are skipped. */
export const hasOpenvino: boolean = (() => {
  try {
    return findLibrary() !== '';
  } catch {
    return false;
  }
})();
