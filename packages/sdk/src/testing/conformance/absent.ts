/** @file Which of a case's modules the exported graph may lack. */

import type { ConformanceCase } from './case.ts';
import { parseTensorName } from '../../adapter/formats/tensorNames.ts';

/**
 * Whether a module's absence from the graph is legitimate: its outputs are unused, which shows in that PEFT trains its
 * tensors and no gradient reached any of them, while others got theirs.
 */
export function mayBeAbsent({ trainable, expected }: ConformanceCase, module: string): boolean {
  const own = trainable.filter((name) => parseTensorName(name).module === module);
  const hasGradient = (name: string): boolean => expected.has(`lora.grad.${name}`);
  return own.length > 0 && trainable.some(hasGradient) && !own.some(hasGradient);
}
