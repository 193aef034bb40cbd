/** @file Sliding windows of a long recording, their segments, and the joined text. */

/** Random access to a stream of samples; positions must not decrease. */
export class SlidingAudio {
  readonly #pieces: AsyncIterator<Float32Array>;
  #held: Float32Array[] = [];
  #start = 0;
  #end = 0;
  #hasEnded = false;

  constructor(pieces: AsyncIterable<Float32Array>) {
    this.#pieces = pieces[Symbol.asyncIterator]();
  }

  get held(): number {
    return this.#end - this.#start;
  }

  /** At most `length` samples from `start`, fewer at the end; drops earlier ones. */
  async window(start: number, length: number): Promise<{ readonly samples: Float32Array; readonly isLast: boolean }> {
    this.#forget(start);
    // One more sample tells whether the recording continues.
    while (!this.#hasEnded && this.#end <= start + length) {
      const { done, value } = await this.#pieces.next();
      if (done === true) this.#hasEnded = true;
      else {
        this.#held.push(value);
        this.#end += value.length;
        this.#forget(start);
      }
    }
    const samples = new Float32Array(Math.max(0, Math.min(length, this.#end - start)));
    let at = this.#start - start;
    for (const piece of this.#held) {
      if (at >= samples.length) break;
      const own = piece.subarray(Math.max(0, -at), Math.max(0, samples.length - at));
      samples.set(own, Math.max(0, at));
      at += piece.length;
    }
    return { samples, isLast: this.#hasEnded && this.#end <= start + length };
  }

  /** Closes the stream, also before its end. */
  async close(): Promise<void> {
    this.#held = [];
    await this.#pieces.return?.();
  }

  #forget(start: number): void {
    while (this.#held.length > 0 && this.#start + this.#held[0]!.length <= start) {
      this.#start += this.#held.shift()!.length;
    }
  }
}

interface TokenSegment {
  /** Steps of 0.02 s from the window's beginning. */
  readonly start: number;
  readonly end: number;
  /** With the time before the text, and the one after it if written. */
  readonly tokens: readonly number[];
}

interface CutWindow {
  readonly segments: readonly TokenSegment[];
  readonly next: number;
}

/**
 * Cuts a text at pairs of adjacent times: a segment's end and the next one's start. Text after the last pair was cut
 * off by the window and is decoded again, unless it ends with a single time, after which nothing is said. A text
 * without pairs is one segment.
 * @param firstTime the token of 0.00 s
 * @param steps length of the sound in the window, in steps of 0.02 s
 * @see openai-whisper, whisper/transcribe.py; transformers, WhisperGenerationMixin._retrieve_segment
 */
export function cutSegments(tokens: readonly number[], firstTime: number, steps: number): CutWindow {
  if (tokens.length === 0) return { segments: [], next: steps };
  const isTime = tokens.map((token) => token >= firstTime);
  const cuts = isTime.flatMap((is, i) => (i > 0 && is && isTime[i - 1]! ? [i] : []));
  const endsInSilence = isTime.at(-1)! && isTime.at(-2) === false;
  if (cuts.length === 0) {
    const last = tokens.findLast((token) => token >= firstTime) ?? firstTime;
    return { segments: [{ start: 0, end: last === firstTime ? steps : last - firstTime, tokens }], next: steps };
  }
  if (endsInSilence) cuts.push(tokens.length);
  const segments = cuts.map((cut, i) => {
    const own = tokens.slice(i === 0 ? 0 : cuts[i - 1]!, cut);
    return { start: own[0]! - firstTime, end: own.at(-1)! - firstTime, tokens: own };
  });
  const last = segments.at(-1)!.end;
  // A model may report silence repeatedly.
  return { segments, next: endsInSilence || last === 0 ? steps : last };
}

/** Languages without spaces between words. @see openai-whisper, whisper/tokenizer.py, split_to_word_tokens */
const unspaced: ReadonlySet<string> = new Set(['zh', 'ja', 'th', 'lo', 'my', 'yue']);

/** True for a language code without spaces between words; English by default. */
export function isUnspaced(language: string | undefined): boolean {
  return language !== undefined && unspaced.has(language);
}

/** Joins texts, with spaces where the language has them, and drops empty ones. */
export function joinTexts(texts: readonly string[], language?: string): string {
  const said = texts.map((text) => text.trim()).filter((text) => text !== '');
  return said.join(isUnspaced(language) ? '' : ' ');
}
