/** @file The segments of a window, by the times that were written into its text. */

/** A segment of a window. */
export interface TokenSegment {
  /** Steps of 0.02 s from the beginning of the window. */
  readonly start: number;
  readonly end: number;
  /** With its times: one before the words, and one behind them where it was written. */
  readonly tokens: readonly number[];
}

/** What a window says, and how far it is heard. */
export interface CutWindow {
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
