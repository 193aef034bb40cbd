/** @file Temperature fallback of OpenAI's Whisper: decodes failed texts again at higher temperatures. */

import { deflateSync } from 'node:zlib';
import type { Tensor } from '@onnx-lora/sdk';
import { adaptersOf, selectRows } from '@onnx-lora/sequences';
import type { SpeechTokenizer } from '../../text/subwordTokenizer.ts';
import type { DecodedWindow } from '../decodingRules.ts';
import type { DecodeOptions, SpeechEngine } from '../speechEngine.ts';
import type { TranscribeOptions } from '../transcriber.ts';

export type FallbackOptions = Required<
  Pick<TranscribeOptions, 'temperatures' | 'compressionRatioThreshold' | 'logprobThreshold' | 'noSpeechThreshold'>
>;

/** OpenAI's defaults. @see openai-whisper, whisper/transcribe.py */
export const usualFallback: FallbackOptions = {
  temperatures: [0, 0.2, 0.4, 0.6, 0.8, 1],
  compressionRatioThreshold: 2.4,
  logprobThreshold: -1,
  noSpeechThreshold: 0.6,
};

export interface CheckedWindow extends DecodedWindow {
  readonly temperature: number;
  readonly isSilence: boolean;
}

/**
 * Decodes failed rows again at the next temperature. @see openai-whisper, whisper/transcribe.py, decode_with_fallback
 */
export async function decodeWithFallback(
  { engine, tokenizer }: { readonly engine: SpeechEngine; readonly tokenizer: SpeechTokenizer },
  states: Tensor,
  prompts: readonly (readonly number[])[],
  options: DecodeOptions,
  fallback: FallbackOptions,
): Promise<CheckedWindow[]> {
  const found: CheckedWindow[] = [];
  let rows = prompts.map((_, row) => row);
  for (const temperature of fallback.temperatures) {
    const texts = await engine.decode(selectRows(states, rows), rows.map((row) => prompts[row]!), {
      ...options,
      adapter: adaptersOf(options.adapter ?? null, rows),
      temperature,
      scores: true,
    }); // prettier-ignore
    const wrong: number[] = [];
    texts.forEach((text, i) => {
      const row = rows[i]!;
      const isGuess = meanLogProb(text) < fallback.logprobThreshold;
      const isSilence = isGuess && (text.noSpeechProb ?? 0) > fallback.noSpeechThreshold;
      found[row] = { ...text, temperature, isSilence };
      const repeats = (): boolean => compressionRatio(tokenizer.decode(text.tokens)) > fallback.compressionRatioThreshold; // prettier-ignore
      if (!isSilence && (isGuess || repeats())) wrong.push(row);
    });
    rows = wrong;
    if (rows.length === 0) break;
  }
  return found;
}

/** Per token, the end included. */
function meanLogProb({ tokens, sumLogProb = 0 }: DecodedWindow): number {
  return sumLogProb / (tokens.length + 1);
}

/** The compression ratio of a text by zlib, in bytes of UTF-8. @see openai-whisper, whisper/utils.py */
export function compressionRatio(text: string): number {
  const bytes = Buffer.from(text.trim());
  return bytes.length === 0 ? 0 : bytes.length / deflateSync(bytes).length;
}
