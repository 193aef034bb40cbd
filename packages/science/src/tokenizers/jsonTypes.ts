/** @file Which kinds of steps a part of tokenizer.json has. */

import { isObject } from '@onnx-lora/sdk/data';

/** The types of a step, and of those that a `Sequence` of them has. */
export function typesOf(step: unknown): readonly unknown[] {
  if (!isObject(step)) return [];
  const inner = [step['processors'], step['pretokenizers'], step['normalizers']].flatMap((list) =>
    Array.isArray(list) ? list.flatMap(typesOf) : [],
  );
  return [step['type'], ...inner];
}
