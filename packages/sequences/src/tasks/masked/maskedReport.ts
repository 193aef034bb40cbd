/** @file Report sections of masked-language modelling: perplexity before and after. */

import { type Batch, batchesOf, intervalsOf, type ReportRequest, type ReportSection } from '@onnx-lora/sdk/tasks';
import type { SequenceRecord } from '../../record.ts';
import type { SequenceTokenizer } from '../../tokenizers/sequenceTokenizer.ts';
import type { SequenceDataset, SequenceExample } from '../sequenceTask.ts';
import { MaskedSums, type MaskedMetrics } from './maskedMetrics.ts';
import { maskedTokens, type Masking } from './masking.ts';

class TokenFrequencies {
  readonly #counts = new Map<number, number>();
  readonly #total: number;
  readonly #best: number;

  /** Counts `rows`; each `possible` id starts at 1 (Laplace), so that none is impossible. */
  constructor(rows: Iterable<readonly number[]>, possible: readonly number[]) {
    for (const id of possible) this.#counts.set(id, 1);
    for (const row of rows) for (const id of row) this.#counts.set(id, (this.#counts.get(id) ?? 0) + 1);
    this.#total = [...this.#counts.values()].reduce((sum, count) => sum + count, 0);
    this.#best = [...this.#counts].reduce((best, entry) => (entry[1] > best[1] ? entry : best))[0];
  }

  share(id: number): number {
    return (this.#counts.get(id) ?? 0) / this.#total;
  }

  get best(): number {
    return this.#best;
  }
}

/** Input of {@link maskedReport}. */
export interface MaskedReportOptions<R extends SequenceRecord = SequenceRecord> {
  readonly names: { readonly noun: string; readonly one: string };
  readonly tokenizer: SequenceTokenizer;
  readonly train: SequenceDataset<undefined, R>;
  readonly validation: SequenceDataset<undefined, R>;
  readonly collate: (examples: readonly SequenceExample<undefined, R>[]) => Promise<Batch>;
  readonly masking: Masking;
  readonly metrics: () => MaskedMetrics;
}

const BINS = 20;
const MOST_TOKENS = 30;

/** Perplexity of token frequencies, base and adapter; the change per sequence; and a table by token. */
export async function maskedReport<R extends SequenceRecord>(
  { names, tokenizer, train, validation, collate, masking, metrics }: MaskedReportOptions<R>,
  request: ReportRequest,
): Promise<readonly ReportSection[]> {
  const possible = Array.from({ length: tokenizer.size }, (_, id) => id).filter((id) => masking.canBeAsked(id));
  const trained = train.records.map(({ sequence }) => tokenizer.tokens(sequence).ids);
  const frequencies = new TokenFrequencies(
    trained.map((ids) => ids.filter((id) => masking.canBeAsked(id))),
    possible,
  );
  const guessed = new MaskedSums();
  const [base, adapted] = [metrics(), metrics()];
  for await (const { batch } of batchesOf({ dataset: validation, collate }, request.batchSize)) {
    base.update(await request.run(batch.inputs, 'base'), batch.targets);
    adapted.update(await request.run(batch.inputs, 'adapted'), batch.targets);
    for (const { record, token } of maskedTokens(batch.targets))
      guessed.add(record, token, -Math.log(frequencies.share(token)), token === frequencies.best);
  }
  const [before, after] = [base.guesses, adapted.guesses];
  return [
    comparison([['frequencies alone', guessed], ['model before', before], ['with the adapter', after]], names.noun), // prettier-ignore
    changes(before, after, names.one),
    tokenTable(tokenizer, possible, frequencies, { before, after }),
  ];
}

function comparison(rows: readonly (readonly [name: string, guesses: MaskedSums])[], noun: string): ReportSection {
  const [[frequencies, guessed], [, before], [, after]] = rows as [
    (typeof rows)[0],
    (typeof rows)[0],
    (typeof rows)[0],
  ];
  const { guesses, records } = after.size;
  const [from, to] = [before.scores().perplexity, after.scores().perplexity];
  const { interval } = after.change(before);
  const [low = -Infinity, high = Infinity] = interval ?? [];
  const verdict =
    high < 0
      ? `It is lower on other ${noun} of this kind too, as far as these tell (95%)`
      : low > 0
        ? 'The adapter has made the model worse'
        : `These ${noun} are too few, or the change is too small, to tell that from chance`;
  const ratio = interval
    ? `; the ratio is between ${Math.exp(low).toFixed(3)} and ${Math.exp(high).toFixed(3)} with a probability of 95%`
    : '';
  return {
    kind: 'table',
    title: `Perplexity of held-out ${noun}`,
    baselines: { [frequencies]: { metrics: { ...guessed.scores() }, draws: guessed.draws() } },
    text: `Among how many tokens, all as likely, the model chooses when one is hidden: the fewer, the better it knows these ${noun}. From ${from.toFixed(3)} to ${to.toFixed(3)}, on ${guesses} hidden tokens of ${records} ${noun}${ratio}. ${verdict}. The tokens hidden are the same before and after.`,
    columns: ['', 'perplexity', '95% interval', 'loss', 'accuracy'],
    rows: rows.map(([name, sums]) => {
      const { perplexity, loss, accuracy } = sums.scores();
      const own = intervalsOf(sums.draws())['perplexity'];
      const range = own ? `${own[0].toFixed(3)} – ${own[1].toFixed(3)}` : '–';
      return [name, rounded(perplexity), range, rounded(loss), rounded(accuracy)];
    }),
  };
}

function changes(before: MaskedSums, after: MaskedSums, one: string): ReportSection {
  const old = before.losses();
  const values = [...after.losses()].map(([record, loss]) => loss - old.get(record)!);
  const low = Math.min(...values.map((value) => Math.min(value, 0)));
  const high = Math.max(...values.map((value) => Math.max(value, 0)), low + 1e-6);
  const counts = Array.from({ length: BINS }, () => 0);
  for (const value of values) counts[Math.min(BINS - 1, Math.floor(((value - low) / (high - low)) * BINS))]!++;
  const better = values.filter((value) => value < 0).length;
  return {
    kind: 'histogram',
    title: `Change by ${one}`,
    text: `How the mean loss of each held-out ${one} changes; below 0 it is known better. So it is for ${better} of ${values.length}.`,
    x: 'loss with the adapter − loss before (nats)',
    borders: Array.from({ length: BINS + 1 }, (_, i) => low + ((high - low) * i) / BINS),
    counts,
  };
}

function tokenTable(
  tokenizer: SequenceTokenizer,
  possible: readonly number[],
  frequencies: TokenFrequencies,
  { before, after }: { readonly before: MaskedSums; readonly after: MaskedSums },
): ReportSection {
  const asked = possible.filter((id) => after.ofToken(id).count > 0);
  const shown = asked.sort((a, b) => frequencies.share(b) - frequencies.share(a)).slice(0, MOST_TOKENS);
  return {
    kind: 'table',
    title: 'Tokens',
    text: 'How often a hidden token is guessed, and how likely the model holds it, as a perplexity.',
    columns: [
      'token',
      'share in training',
      'hidden',
      'right before',
      'right after',
      'perplexity before',
      'perplexity after',
    ],
    rows: shown.map((id) => {
      const [old, now] = [before.ofToken(id), after.ofToken(id)];
      return [
        tokenizer.tokenOf(id) ?? String(id),
        rounded(frequencies.share(id)),
        now.count,
        rounded(old.accuracy),
        rounded(now.accuracy),
        rounded(old.perplexity),
        rounded(now.perplexity),
      ];
    }),
  };
}

function rounded(value: number): number {
  return Number(value.toFixed(4));
}
