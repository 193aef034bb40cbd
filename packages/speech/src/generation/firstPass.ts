/** @file The pass that reads the prompt, and how probable it says it is that nothing is said. */

import { logSumExp } from '@onnx-lora/sdk/tasks';
import type { Decoding, WrittenText } from '@onnx-lora/sequences';
import type { GenerationConfig } from './generationConfig.ts';

/** What was written for one row. */
export interface DecodedWindow extends WrittenText {
  /** How probable it is that nothing is said. Where scores are asked for, and the model has a token for it. */
  readonly noSpeechProb?: number;
}

/** The logits behind the prompts `[rows][vocabulary]`, and how probable it is that nothing is said. */
interface FirstLogits {
  readonly logits: Float32Array[];
  readonly noSpeech: readonly (number | undefined)[];
}

/**
 * Runs the first pass. That nothing is said is written right behind the start, by the token before `<|notimestamps|>`.
 *
 * @param scores whether it is asked for
 * @see openai-whisper, whisper/decoding.py, DecodingTask._main_loop
 */
export async function firstLogits(
  decoding: Decoding,
  prompts: readonly (readonly number[])[],
  config: GenerationConfig,
  scores: boolean,
): Promise<FirstLogits> {
  const last = prompts[0]!.length - 1;
  const token = config.noTimestamps === undefined ? undefined : config.noTimestamps - 1;
  if (!scores || token === undefined) {
    const logits = await decoding.next(prompts, [last]);
    return { logits: logits.map(([row]) => row!), noSpeech: prompts.map(() => undefined) };
  }
  // What was said before is as long for all rows, as the prompts are.
  const found = await decoding.next(prompts, [prompts[0]!.indexOf(config.start), last]);
  return {
    noSpeech: found.map(([start]) => Math.exp(start![token]! - logSumExp(start!))),
    logits: found.map(([, row]) => row!),
  };
}
