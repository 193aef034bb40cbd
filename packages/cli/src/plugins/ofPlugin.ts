/** @file Calls of plugins whose failures say which plugin's part it was. */

import { OnnxLoraError } from '@onnx-lora/sdk';

/**
 * Calls a function of a plugin.
 *
 * @param part such as `dataset "cells"`
 * @param where the function: `prepare`
 * @throws OnnxLoraError `PLUGIN_INVALID` in place of any error that is none
 */
export async function ofPlugin<Result>(part: string, where: string, call: () => Promise<Result>): Promise<Result> {
  try {
    return await call();
  } catch (cause) {
    if (cause instanceof OnnxLoraError) throw cause;
    const said = cause instanceof Error ? cause.message || cause.name : String(cause);
    throw new OnnxLoraError(
      'PLUGIN_INVALID',
      `The ${part} fails in ${where}: ${said.replace(/[.\s]+$/, '')}. Its author can mend it; the error's cause says where (--debug shows it).`,
      { cause },
    );
  }
}
