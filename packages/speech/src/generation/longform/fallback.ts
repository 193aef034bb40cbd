/** @file Writes texts again at higher temperatures where they went wrong, as OpenAI's Whisper does. */

import { deflateSync } from 'node:zlib';
import type { Tensor } from '@onnx-lora/sdk';
import { adaptersOf, selectRows } from '@onnx-lora/sequences';
import type { SpeechTokenizer } from '../../text/subwordTokenizer.ts';
import type { DecodedWindow } from '../firstPass.ts';
import type { DecodeOptions, SpeechEngine } from '../speechEngine.ts';

/** When a text went wrong, and what is done then. */
export interface FallbackOptions {
  /** Temperatures that are tried one after the other. */
  readonly temperatures: readonly number[];
  /** A text that zlib makes this many times smaller, or more, repeats itself. */
  readonly compressionRatioThreshold: number;
  /** A text of which tokens have less log-probability than this, on average, is a guess. */
  readonly logprobThreshold: number;
  /** Where a text is a guess and silence is more probable than this, nothing is said. */
  readonly noSpeechThreshold: number;
}

/** Those of OpenAI's Whisper. @see openai-whisper, whisper/transcribe.py */
export const usualFallback: FallbackOptions = {
  temperatures: [0, 0.2, 0.4, 0.6, 0.8, 1],
  compressionRatioThreshold: 2.4,
  logprobThreshold: -1,
  noSpeechThreshold: 0.6,
};

/** What was written in the end. */
export interface CheckedWindow extends DecodedWindow {
  /** At which it was written. */
  readonly temperature: number;
  /** Whether nothing is said there. */
  readonly isSilence: boolean;
}

/**
 * Decodes each row at the first temperature, and at the next ones those rows that went wrong. What is written at the last one
 * is kept as it is.
 *
 * @throws OnnxLoraError as `engine.decode`
 * @see openai-whisper, whisper/transcribe.py, decode_with_fallback
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

/** Of a token, the end included. */
function meanLogProb({ tokens, sumLogProb = 0 }: DecodedWindow): number {
  return sumLogProb / (tokens.length + 1);
}

/** How many times smaller zlib makes a text, in bytes of UTF-8. @see openai-whisper, whisper/utils.py */
export function compressionRatio(text: string): number {
  const bytes = Buffer.from(text.trim());
  return bytes.length === 0 ? 0 : bytes.length / deflateSync(bytes).length;
}
