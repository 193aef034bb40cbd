/**
 * @file A recogniser of printed text learns to read a handwriting: lines that are set in a font of it, the CTC loss, and error
 * rates on words that it has not seen, before and after, in the handwriting and in ordinary print.
 */

import { readFileSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { parseArgs } from 'node:util';
import { evaluate, type Model, type ModuleInfo, openModel, previewLora, train } from '@onnx-lora/sdk';
import { CtcTokenizer } from '@onnx-lora/sdk/tasks';
import { lineReading } from './support/lineReading.ts';
import { fontOf, fontsIn, type Line, recogniserIn, setLines, shuffledWords } from './support/ocrLines.ts';
import { writeOcrFixture } from './support/ocrFixture.ts';

const { values: given, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    hand: { type: 'string' },
    lines: { type: 'string', default: '960' },
    steps: { type: 'string', default: '120' },
    tune: { type: 'boolean', default: false },
    seed: { type: 'string', default: '1' },
  },
});
const [folder] = positionals;
const seed = Number(given.seed);
const HELD_OUT = 200;
await rm('runs/ocr-adapter', { recursive: true, force: true });
// Without a folder of packages a small recogniser stands in, which can read nothing.
const files = folder === undefined ? writeOcrFixture('runs/ocr-fixture') : recogniserIn(folder);
const [handwriting, ...prints] = folder === undefined ? ['sans', 'serif'] : fontsIn(folder);

// #region open
const model = await openModel(files.model);
const characters = readFileSync(files.alphabet, 'utf8')
  .split(/\r?\n/)
  .filter((each) => each !== '');
const tokenizer = new CtcTokenizer(['<blank>', ...characters, ' '], { blank: '<blank>', wordDelimiter: ' ' });
const [output] = Object.keys(model.outputs);
console.log(`${tokenizer.size} classes; the scores behind "${output}" are "${model.logitsOf(output!)}"`);
// #endregion open

// #region lines
const words = shuffledWords(seed);
const [test, tuning, seen] = [words.slice(0, 400), words.slice(400, 800), words.slice(800)];
const unseen = given.tune ? tuning : test;
const hand = fontOf(given.hand ?? handwriting!);
const lines = await setLines(seen, hand, Number(given.lines), seed);
const heldOut = await setLines(unseen, hand, HELD_OUT, seed + 1);
console.log(
  `${lines.length} lines of ${seen.length} words to train on, ${HELD_OUT} of ${unseen.length} others held out`,
);
const printed = new Map<string, Line[]>();
for (const font of prints.map(fontOf)) printed.set(font.family, await setLines(unseen, font, HELD_OUT / 2, seed + 2));
// #endregion lines

// #region lora
const isWhole = ({ kind, weightShape }: ModuleInfo): boolean => kind === 'linear' || weightShape[1] !== 1;
const lora = { r: 8, loraAlpha: 16, targetModules: isWhole };
const { targets, trainableParameters } = previewLora(model, lora);
console.log(`${targets.length} layers to adapt, ${trainableParameters.toLocaleString('en')} numbers to train\n`);
// #endregion lora

const before = await errorsOf(model);

// #region train
const task = lineReading({ train: lines, heldOut, tokenizer });
const started = performance.now();
const run = await train(model, {
  task,
  lora,
  steps: Number(given.steps),
  batchSize: 8,
  lr: 2e-3,
  warmupSteps: 10,
  seed,
});
for await (const event of run)
  if (event.type === 'step' && event.step % 20 === 0) console.log(`step ${event.step}, loss ${event.loss.toFixed(3)}`);
const { adapter } = await run.done;
await adapter.save('runs/ocr-adapter');
console.log(`trained in ${Math.round((performance.now() - started) / 1000)} s\n`);
// #endregion train

const after = await errorsOf(model, adapter);
for (const [name, rate] of after) console.log(`${name.padEnd(20)}${before.get(name)!}  →  ${rate}`);

/** The CER on unseen words, in the handwriting and in each printed font. */
async function errorsOf(which: Model, trained?: typeof adapter): Promise<Map<string, string>> {
  const rates = new Map<string, string>();
  for (const [family, found] of [[hand.family, heldOut] as const, ...printed]) {
    const { metrics, intervals } = await evaluate(which, {
      task: lineReading({ train: found, heldOut: found, tokenizer }),
      batchSize: 16,
      ...(trained ? { adapter: trained } : {}),
    });
    const [low, high] = intervals!['cer']!;
    rates.set(family, `${percent(metrics['cer']!)}% (${percent(low)} to ${percent(high)})`);
  }
  return rates;
}

function percent(share: number): string {
  return (100 * share).toFixed(1);
}
