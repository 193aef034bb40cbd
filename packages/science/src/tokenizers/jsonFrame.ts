/** @file What a tokenizer.json puts around sequences. */

import { OnnxLoraError } from '@onnx-lora/sdk';
import type { JsonObject } from '@onnx-lora/sdk/data';
import type { Frame, FrameItem } from './frame.ts';
import type { HfTokenizer } from './hfTokenizer.ts';
import { typesOf } from './jsonTypes.ts';

/** Stand for the sequences; no vocabulary has them. */
const marks = ['\u0001 first', '\u0001 second'] as const;

/**
 * The frame that the file's post-processor makes of one sequence and of two, whichever of the kinds of post-processors it is.
 *
 * @throws OnnxLoraError `CONFIG_INVALID` where it names a token that is not in the vocabulary; TypeError where it cannot be used
 */
export function jsonFrame(json: JsonObject, tokenizer: HfTokenizer, path: string): Frame {
  const bare: FrameItem[] = [
    { sequence: 0, type: 0 },
    { sequence: 1, type: 0 },
  ];
  const { post_processor: processor } = tokenizer;
  if (!processor) return { single: bare.slice(0, 1), pair: bare };
  // RoBERTa has no types: 0 throughout, as in the Rust tokenizers, where the library has 1.
  const isRoberta = typesOf(json['post_processor']).includes('RobertaProcessing');
  const items = (pair: readonly string[] | null): FrameItem[] => {
    const made = processor.post_process([marks[0]], pair, true);
    if (!pair && !made.tokens.includes(marks[0])) throw new TypeError('its post-processor leaves sequences out');
    return made.tokens.map((token, i) => {
      const type = isRoberta ? 0 : (made.token_type_ids?.[i] ?? 0);
      if (token === marks[0] || token === marks[1]) return { sequence: token === marks[0] ? 0 : 1, type };
      const id = tokenizer.token_to_id(token);
      if (id !== undefined) return { id, type };
      throw new OnnxLoraError(
        'CONFIG_INVALID',
        `"${path}" puts "${token}" beside sequences, but its vocabulary does not have that token. Copy the file again from where the model was published.`,
      );
    });
  };
  const single = items(null);
  // A template may have none for pairs.
  const pair = items([marks[1]]);
  return { single, pair: pair.length > 0 ? pair : [...single, bare[1]!] };
}
