/** @file The windows of a long recording: slid over its sound, cut into segments, and joined as text. */

/** Samples of a stream by their place in it. Places must not go back. */
export class SlidingAudio {
  readonly #pieces: AsyncIterator<Float32Array>;
  #held: Float32Array[] = [];
  /** Where what is held begins and ends. */
  #start = 0;
  #end = 0;
  #hasEnded = false;

  constructor(pieces: AsyncIterable<Float32Array>) {
    this.#pieces = pieces[Symbol.asyncIterator]();
  }

  /** Samples that are held. */
  get held(): number {
    return this.#end - this.#start;
  }

  /**
   * The samples from `start` on, at most `length`, fewer at the end of the recording. What is before them is forgotten.
   *
   * @throws OnnxLoraError as the stream does
   */
  async window(start: number, length: number): Promise<{ readonly samples: Float32Array; readonly isLast: boolean }> {
    this.#forget(start);
    // One sample more tells whether the recording goes on.
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

  /** Ends the stream, also where it goes on. */
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

/** A segment of a window. */
interface TokenSegment {
  /** Steps of 0.02 s from the beginning of the window. */
  readonly start: number;
  readonly end: number;
  /** With its times: one before the words, and one behind them where it was written. */
  readonly tokens: readonly number[];
}

/** What a window says, and how far it is heard. */
interface CutWindow {
  readonly segments: readonly TokenSegment[];
  /** Steps after which the next window begins. */
  readonly next: number;
}

/**
 * Cuts a text where two times stand beside each other: the end of a segment and the begin of the next. What follows the last
 * pair was cut off by the end of the window, and is heard again from there on; unless it ends with one time, behind which
 * nothing is said. A text without pairs is one segment.
 *
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
  // A model may say that it heard nothing, again and again.
  return { segments, next: endsInSilence || last === 0 ? steps : last };
}

/** Languages that write no spaces between words. @see openai-whisper, whisper/tokenizer.py, split_to_word_tokens */
const unspaced: ReadonlySet<string> = new Set(['zh', 'ja', 'th', 'lo', 'my', 'yue']);

/** Whether words of a language, by its code, are written without spaces. English where nothing is said. */
export function isUnspaced(language: string | undefined): boolean {
  return language !== undefined && unspaced.has(language);
}

/** The texts behind each other, with spaces where their language has them. Empty ones are left out. */
export function joinTexts(texts: readonly string[], language?: string): string {
  const said = texts.map((text) => text.trim()).filter((text) => text !== '');
  return said.join(isUnspaced(language) ? '' : ' ');
}
