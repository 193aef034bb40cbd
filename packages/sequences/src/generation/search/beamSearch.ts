/** @file Beam search, as transformers does it. */

import { logSumExp } from '@onnx-lora/sdk/tasks';
import { bestOf, chosen } from './scores.ts';
import type { SearchRequest, WrittenText } from './search.ts';

/** A search that writes several texts side by side for each row. */
export interface BeamRequest extends SearchRequest {
  /** How many. */
  readonly beams: number;
  /** A text's score is divided by its length to this power. */
  readonly lengthPenalty: number;
  /** Whether a row is done as soon as it has as many texts as beams; `never` looks for better ones as long as it can. */
  readonly earlyStopping: boolean | 'never';
}

/** A text that such a search has found. */
export interface FoundText extends WrittenText {
  /** By which texts are compared. */
  readonly score: number;
}

/** An open hypothesis. */
interface Beam {
  readonly tokens: readonly number[];
  /** Sum of the model's log-probabilities, by which texts are ranked. */
  readonly sumLogProb: number;
  /** Sum over the allowed tokens. */
  readonly sumAllowed: number;
  /** Row of the last pass. */
  readonly row: number;
}

/** A finished hypothesis. */
interface Finished extends Beam {
  readonly score: number;
  /** Undefined where the length limit ended it. */
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
 * The texts of each row, best first, as many as beams where so many were finished: the best among several that are written side by side. A text's score is the sum of its log-probabilities
 * divided by its length, the end included, to the power `lengthPenalty`.
 *
 * At each step the best continuations are taken, two for each beam. Those that end and are among the first `beams` are
 * finished, the best others go on. A row is done when it has `beams` finished texts and the best open one is worse than the
 * worst of them, as `earlyStopping` tells, or when there is no more room: then open texts count as finished.
 * @throws OnnxLoraError `RUNTIME_FAILED` for logits that are no numbers; others as the passes
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

/** The best continuations of a beam. */
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
