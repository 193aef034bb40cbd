/** @file Beam search, as in transformers. */

import { logSumExp } from '@onnx-lora/sdk/tasks';
import { bestOf, chosen } from './scores.ts';
import type { SearchRequest, WrittenText } from './search.ts';

/** Input of {@link beamSearch}. */
export interface BeamRequest extends SearchRequest {
  /** Number of beams. */
  readonly beams: number;
  /** A sequence's score is divided by its length to this power. */
  readonly lengthPenalty: number;
  /** Whether a row is done at as many results as beams; `never` continues while better ones are possible. */
  readonly earlyStopping: boolean | 'never';
}

/** A sequence that beam search found. */
export interface FoundText extends WrittenText {
  /** Score that ranks the sequences. */
  readonly score: number;
}

interface Beam {
  readonly tokens: readonly number[];
  /** Sum of the model's log-probabilities, which ranks the beams. */
  readonly sumLogProb: number;
  /** Sum of the log-probabilities among the allowed tokens. */
  readonly sumAllowed: number;
  readonly row: number;
}

interface Finished extends Beam {
  readonly score: number;
  /** Undefined if the length limit ended it. */
  readonly end: number | undefined;
}

interface Search {
  readonly prompt: readonly number[];
  /** Best first. */
  open: readonly Beam[];
  finished: readonly Finished[];
  isDone: boolean;
}

/**
 * Beam search: the finished sequences of each row, best first, at most as many as beams. A score is the sum of
 * log-probabilities divided by the length, the end included, to the power `lengthPenalty`. Each step takes the best
 * continuations, two per beam. Those that end and are among the first `beams` are finished; the best others go on. A
 * row is done when it has `beams` finished sequences and the best open one is worse than the worst of them (see
 * `earlyStopping`), or at the length limit, where open sequences count as finished.
 * @throws OnnxLoraError `RUNTIME_FAILED` for NaN logits; others like the passes
 * @see transformers, generation/utils.py, _beam_search
 */
export async function beamSearch(request: BeamRequest): Promise<FoundText[][]> {
  const { decoding, prompts, maxTokens, scores } = request;
  const searches = prompts.map((prompt, row): Search => ({ prompt, open: [{ tokens: [], sumLogProb: 0, sumAllowed: 0, row }], finished: [], isDone: false })); // prettier-ignore
  let { logits } = request;
  let left: readonly Search[] = searches;
  for (let length = 1; ; length++) {
    for (const search of left) advance(request, search, logits, length);
    left = left.filter(({ isDone }) => !isDone);
    if (left.length === 0 || length >= maxTokens) break;
    const beams = left.flatMap(({ open }) => open);
    decoding.select(beams.map(({ row }) => row));
    logits = (await decoding.next(beams.map(({ tokens }) => [tokens.at(-1)!]))).map(([row]) => row!);
    let row = 0;
    for (const search of left) search.open = search.open.map((beam) => ({ ...beam, row: row++ }));
  }
  return searches.map(({ finished }) =>
    finished.map(({ tokens, end, score, sumAllowed }) => ({
      tokens,
      hasEnded: end !== undefined,
      score,
      ...(end === undefined ? {} : { end }),
      ...(scores ? { sumLogProb: sumAllowed } : {}),
    })),
  );
}

/** Extends all beams of a row by the `length`-th token. */
function advance(request: BeamRequest, search: Search, logits: readonly Float32Array[], length: number): void {
  const { ends, beams, lengthPenalty, earlyStopping, maxTokens } = request;
  const isEnd = (token: number | undefined): boolean => ends.includes(token!);
  const taken = Math.max(2, 1 + ends.length) * beams;
  const best = search.open.flatMap((beam) => continuations(request, search.prompt, beam, logits[beam.row]!, taken));
  best.sort((a, b) => b.sumLogProb - a.sumLogProb);
  chosen(best.length - 1);
  const found = best.slice(0, taken);
  const isLast = length >= maxTokens;
  const ended = found.slice(0, beams).flatMap((beam): Finished[] => {
    const last = beam.tokens.at(-1);
    const hasEnded = isEnd(last);
    if (!hasEnded && !isLast) return [];
    const tokens = hasEnded ? beam.tokens.slice(0, -1) : beam.tokens;
    return [{ ...beam, tokens, end: hasEnded ? last : undefined, score: beam.sumLogProb / length ** lengthPenalty }];
  });
  search.finished = [...search.finished, ...ended].sort((a, b) => b.score - a.score).slice(0, beams);
  search.open = found.filter(({ tokens }) => !isEnd(tokens.at(-1))).slice(0, beams);
  const [leader] = search.open;
  // With a positive length penalty, longer texts may still win.
  const reach = earlyStopping === 'never' && lengthPenalty > 0 ? maxTokens : length;
  const canImprove = leader !== undefined && leader.sumLogProb / reach ** lengthPenalty > (search.finished.at(-1)?.score ?? -Infinity); // prettier-ignore
  const isFull = search.finished.length === beams;
  search.isDone = isLast || leader === undefined || (isFull && (earlyStopping === true || !canImprove));
}

function continuations(
  { rules, scores }: SearchRequest,
  prompt: readonly number[],
  beam: Beam,
  logits: Float32Array,
  count: number,
): Beam[] {
  const total = logSumExp(logits);
  for (let i = 0; i < logits.length; i++) logits[i]! -= total;
  for (const rule of rules) rule(logits, beam.tokens, prompt);
  const allowed = scores ? logSumExp(logits) : 0;
  return bestOf(logits, count).map((token) => ({
    tokens: [...beam.tokens, token],
    sumLogProb: beam.sumLogProb + logits[token]!,
    sumAllowed: beam.sumAllowed + logits[token]! - allowed,
    row: beam.row,
  }));
}
