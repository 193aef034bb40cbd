/** @file From the logits behind prompts to their texts: token by token, or by a search with beams. */

import { beamSearch, type Decoding, type FoundText, type LogitRule, logitRules, samplingRules, takeTokens, type WrittenText } from '@onnx-lora/sequences'; // prettier-ignore
import type { WantedText } from './checkedPrompts.ts';
import type { GenerationPlan } from './generateOptions.ts';
import type { FinishReason, GeneratedText, TextPiece } from './textGenerator.ts';
import { TextPieces } from './textPieces.ts';

/** How texts are written. */
export interface WritingRules {
  readonly plan: GenerationPlan;
  /** What else may not be written, beside what the plan says. */
  readonly extra: readonly LogitRule[];
  readonly decode: (ids: readonly number[]) => string;
}

/** Writes the texts of some rows. */
export class Writing {
  /** What was written: whole once {@link Writing.pieces} has ended. */
  readonly texts: GeneratedText[] = [];
  /** Tokens of each row by now. */
  readonly tokens: readonly number[][];
  readonly #rows: readonly WantedText[];
  readonly #plan: GenerationPlan;
  readonly #extra: readonly LogitRule[];
  readonly #decode: (ids: readonly number[]) => string;

  constructor(rows: readonly WantedText[], { plan, extra, decode }: WritingRules) {
    this.#rows = rows;
    this.#plan = plan;
    this.#extra = extra;
    this.#decode = decode;
    this.tokens = rows.map(() => []);
  }

  /** @param logits behind the prompts, which the decoding has read */
  async *pieces(decoding: Decoding, logits: readonly Float32Array[]): AsyncGenerator<TextPiece, void> {
    const { search, sampling, badWords, minTokens } = this.#plan;
    const rules = [...logitRules({ ...search, badWords, minTokens }), ...this.#extra, ...(sampling ? samplingRules(sampling) : [])]; // prettier-ignore
    const maxTokens = Math.max(...this.#rows.map((row) => row.maxTokens));
    const request = { ...search, decoding, logits, rules, maxTokens, prompts: this.#rows.map(({ ids }) => ids), scores: false }; // prettier-ignore
    if (search.beams > 1) yield* this.#found(await beamSearch(request));
    else yield* this.#taken({ ...request, temperature: sampling ? 1 : 0, seed: this.#rows.map(({ seed }) => seed) });
  }

  async *#taken(request: Parameters<typeof takeTokens>[0]): AsyncGenerator<TextPiece, void> {
    const states = this.#rows.map(({ stops }) => ({ pieces: new TextPieces(this.#decode, stops), text: '', piece: '', isStopped: false })); // prettier-ignore
    const isOver = (i: number, tokens: readonly number[]): boolean => {
      const { text, isOver: isStopped } = states[i]!.pieces.push(tokens.at(-1)!);
      Object.assign(states[i]!, { piece: text, isStopped });
      return isStopped || tokens.length >= this.#rows[i]!.maxTokens;
    };
    for await (const { row: i, token, text, isLast } of takeTokens({ ...request, isOver })) {
      const state = states[i]!;
      const { row } = this.#rows[i]!;
      this.tokens[i]!.push(token);
      const own = text.end === undefined ? state.piece : '';
      const piece = own + (isLast && !state.isStopped ? state.pieces.rest() : '');
      state.text += piece;
      const finish = isLast ? reasonOf(text, state.isStopped) : undefined;
      if (finish) this.texts[i] = { text: state.text, tokens: this.tokens[i]!, finish };
      yield { row, token, text: piece, ...(finish ? { finish } : {}) };
    }
  }

  *#found(found: readonly (readonly FoundText[])[]): Generator<TextPiece, void> {
    for (const [i, all] of found.entries()) {
      const texts = all.slice(0, this.#plan.returned).map((each): GeneratedText => {
        const tokens = each.end === undefined ? each.tokens : [...each.tokens, each.end];
        return { text: this.#decode(each.tokens), tokens, finish: reasonOf(each, false), score: each.score };
      });
      const best = texts[0]!;
      this.texts[i] = this.#plan.returned > 1 ? { ...best, alternatives: texts } : best;
      const pieces = new TextPieces(this.#decode, []);
      const { row } = this.#rows[i]!;
      for (const [place, token] of best.tokens.entries()) {
        const isLast = place === best.tokens.length - 1;
        const own = isLast && best.finish === 'end' ? '' : pieces.push(token).text;
        yield { row, token, text: isLast ? own + pieces.rest() : own, ...(isLast ? { finish: best.finish } : {}) };
      }
    }
  }
}

function reasonOf({ end }: WrittenText, isStopped: boolean): FinishReason {
  return end === undefined ? (isStopped ? 'stop' : 'length') : 'end';
}
