/** @file Draws networks and methods until a law breaks, shrinks what breaks it, and counts what was drawn together. */

import fc from 'fast-check';
import { type Draw, outcomeOf } from './laws.ts';
import { drawnMethods } from './methods.ts';
import { drawnNetworks } from './network.ts';

/** Result of a search. */
export interface SearchReport {
  /** Draws until the first that broke a law. */
  readonly count: number;
  /** Number of draws that the SDK refused, by the code of the error. */
  readonly refused: ReadonlyMap<string, number>;
  /** How often two choices were drawn together. */
  readonly pairs: ReadonlyMap<string, number>;
  /** The smallest draw that breaks a law. */
  readonly failure?: { readonly draw: Draw; readonly problems: readonly string[] };
}

/** Runs `count` draws; the same seed makes the same ones. */
export async function search({
  count,
  seed,
  onDraw = () => undefined,
}: {
  readonly count: number;
  readonly seed: number;
  readonly onDraw?: (done: number) => void;
}): Promise<SearchReport> {
  const refused = new Map<string, number>();
  const pairs = new Map<string, number>();
  let done = 0;
  let problems: readonly string[] = [];
  const holds = async (network: Draw['network'], method: Draw['method']): Promise<boolean> => {
    const draw = { network, method };
    const outcome = await outcomeOf(draw);
    if (problems.length === 0) {
      onDraw(++done);
      if (outcome.refused) add(refused, outcome.refused.code);
      else countPairs(pairs, draw);
    }
    if (outcome.problems.length > 0) ({ problems } = outcome);
    return outcome.problems.length === 0;
  };
  const details = await fc.check(fc.asyncProperty(drawnNetworks, drawnMethods, holds), { numRuns: count, seed });
  const [network, method] = details.counterexample ?? [];
  return {
    count: done,
    refused,
    pairs,
    ...(network && method ? { failure: { draw: { network, method }, problems } } : {}),
  };
}

function add(counts: Map<string, number>, key: string): void {
  counts.set(key, (counts.get(key) ?? 0) + 1);
}

/** The choices of a draw that count in it: a convolution's form only in a network of images. */
function choicesOf({ network, method }: Draw): string[] {
  const { start, blocks, head, dialect, optimiser, storage, opset, dynamic } = network;
  const isImage = start === 'image';
  const ofBlocks = blocks.flatMap(({ kind, linear, conv, attention, norm, imageNorm, activation }) =>
    isImage
      ? [`conv ${conv}`, `norm ${imageNorm}`, `activation ${activation}`]
      : [
          `block ${kind}`,
          `linear ${linear}`,
          `norm ${norm}`,
          ...(kind === 'attention' ? [`attention ${attention}`] : [`activation ${activation}`]),
        ],
  );
  const ofNetwork = [
    `start ${start}`,
    `dialect ${dialect}`,
    `optimiser ${optimiser}`,
    `weights ${storage}`,
    `opset ${opset}`,
  ];
  const ofMethod = [`method ${method.method}`, `targets ${method.form}`, `saved ${method.saved}`];
  const ofLora = [
    `variant ${method.variant}`,
    `dropout ${method.dropout}`,
    `bias ${method.bias}`,
    `patterns ${method.patterns}`,
    `init ${method.init}`,
  ];
  return [
    ...new Set([
      ...ofBlocks,
      ...ofNetwork,
      ...(isImage ? [] : [`head ${head}`]),
      `batch ${dynamic ? 'open' : 'fixed'}`,
      ...ofMethod,
      ...(method.method === 'lora' ? ofLora : []),
    ]),
  ];
}

function countPairs(pairs: Map<string, number>, draw: Draw): void {
  const choices = choicesOf(draw).sort();
  choices.forEach((one, i) => choices.slice(i + 1).forEach((other) => add(pairs, `${one} × ${other}`)));
}

/** A table of the kinds of choices that were drawn together: the number of pairs, and the rarest of them. */
export function tableOfPairs(pairs: ReadonlyMap<string, number>): string {
  const byKinds = new Map<string, { pairs: number; draws: number; rarest: string; least: number }>();
  for (const [pair, count] of pairs) {
    const [one = '', other = ''] = pair.split(' × ').map((choice) => choice.slice(0, choice.indexOf(' ')));
    const key = `${one} × ${other}`;
    const {
      pairs: number,
      draws,
      rarest,
      least,
    } = byKinds.get(key) ?? { pairs: 0, draws: 0, rarest: '', least: Infinity };
    byKinds.set(key, {
      pairs: number + 1,
      draws: draws + count,
      ...(count < least ? { rarest: pair, least: count } : { rarest, least }),
    });
  }
  const rows = [...byKinds]
    .sort(([one], [other]) => (one < other ? -1 : 1))
    .map(
      ([kinds, { pairs: number, draws, rarest, least }]) =>
        `${kinds.padEnd(24)} ${String(number).padStart(6)} ${String(draws).padStart(8)}   ${least} of ${rarest}`,
    );
  return ['drawn together           pairs    draws   rarest', ...rows].join('\n');
}
