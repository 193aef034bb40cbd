/** @file What adapters may be called: names come from strangers, and become parts of paths. */

import { OnnxLoraError } from '@onnx-lora/sdk';

const NAME = /^(?!\.{1,2}$)[A-Za-z0-9._-]{1,128}$/;

/** Whether an adapter may have this name: 1 to 128 letters, digits, `.`, `_` and `-`, but not `.` and `..`. */
export function isAdapterName(name: string): boolean {
  return NAME.test(name);
}

/** The error for an adapter that is not there. */
export function noSuchAdapter(name: string, version?: string): OnnxLoraError {
  const what = version === undefined ? `"${name}"` : `"${name}" of version "${version}"`;
  return new OnnxLoraError('FILE_NOT_FOUND', `There is no adapter ${what}. GET /adapters lists those that there are.`);
}
