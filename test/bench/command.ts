/** @file The command `bench [--model NAME] [--out FILE] [--quick] [--provider NAME] [--threads N] [--peft [PYTHON]]`. */

import { OnnxLoraError, type PrecisionName, type Provider } from '@onnx-lora/sdk';
import { writeFileAtomic } from '@onnx-lora/sdk/data';
import { writeOnnx } from '@onnx-lora/sdk/plugin';
import { mkdtemp, rm } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { availableParallelism, cpus, tmpdir, totalmem } from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { vitModel } from '../fixtures/vit.ts';
import { compareTraining, type TrainingChoice } from './besidePeft.ts';
import { compareAccuracy } from './accuracy.ts';
import { type CaseName, caseNames, type SwapFigures } from './cases.ts';
import { measureGrowth } from './growth.ts';
import { compareDetection } from './detectionBesidePeft.ts';
import { compareImages } from './images.ts';
import { type LargeModel, type OpeningFigures, writeLargeModel } from './largeModel.ts';
import { compareRecognition } from './recognitionBesidePeft.ts';
import { comparePromptable } from './promptableBesidePeft.ts';
import { findPeft, type PeftCase, peftCases, peftPeak, type PeftPython, peftTimes, whyNotBeside } from './peft.ts';
import { type BenchReport, type CaseFigures, figures, ratiosOf, reportLines, servingRatiosOf } from './report.ts';
import { type BenchSettings, fullSizes, quickSizes, type Sizes, type VitName } from './settings.ts';
import { measureServing, quickServing, servingSettings } from './serving/measure.ts';
import { compareSound } from './sound.ts';
import { runChild } from './spawn.ts';
import { compareTranscription } from './transcribeBesideTransformers.ts';
import { largeCases, quickTrainingCases, trainingCases } from './training.ts';
import { measureMethods } from './methodCosts.ts';
import { comparePrecisions } from './precisions.ts';
import { compareTexts } from './textsBesidePeft.ts';
import { crossValidateWindows } from './windows.ts';

const usage = `Usage: npm run bench -- [--model NAME] [--out FILE] [--quick] [--provider NAME] [--threads N] [--peft [PYTHON]] [--training TEXT] [--precision NAMES]
       npm run bench -- --images PYTHON
       npm run bench -- --audio PYTHON
       npm run bench -- --accuracy PYTHON
       npm run bench -- --promptable PYTHON
       npm run bench -- --detection PYTHON
       npm run bench -- --transcribe PYTHON
       npm run bench -- --speech PYTHON
       npm run bench -- --text PYTHON [--training TEXT]
       npm run bench -- --precisions FILE [--precision NAMES] [--training TEXT]
       npm run bench -- --large PYTHON [--training TEXT]
       npm run bench -- --growth
       npm run bench -- --methods FILE
       npm run bench -- --serve [--peft [PYTHON]] [--pictures FOLDER] [--training TEXT] [--quick]
       npm run bench -- --window FILE [--variants NAMES] [--threads N]

Times forward passes and training steps of LoRA on a ViT with random weights, and the memory that each takes.

  --model NAME     vit-s (ViT-S/16, default) or vit-b (ViT-B/16)
  --out FILE       write all figures as JSON
  --quick          a tiny model and few rounds, to try the benchmark itself
  --provider NAME  cpu (default), cuda, dml, coreml or webgpu
  --threads N      threads for one operator; all cores by default
  --peft [PYTHON]  also time PEFT on torch, with this Python (default: python3), and training steps on further models; on a GPU
                   beside another provider than cpu, where torch sees one
  --training TEXT  only training steps beside PEFT, of the models and targets that the regular expression matches
  --precision NAMES  of training steps beside PEFT, and of servers: float32 (default), int8, int8-backward, float16, int4,
                   nf4, bfloat16 on OpenVINO; several with commas between; on other providers than cpu, float32,float16
                   unless named
  --images PYTHON  only photos decoded and preprocessed, beside transformers with Pillow
  --audio PYTHON   only features of sound, beside transformers with NumPy and torch
  --accuracy PYTHON  only what adapters and new heads reach on real images, beside PEFT
  --promptable PYTHON  only what a small SAM learns of prompted masks, and how fast, beside PEFT
  --detection PYTHON  only what a small RT-DETR learns of turned digits, and how fast, beside PEFT
  --speech PYTHON  only what Whisper tiny.en learns of Spanish recordings, and how fast, beside PEFT
  --text PYTHON    only what encoders and a small language model learn of texts, and how fast, beside PEFT, with three seeds
  --precisions FILE  only what is learned in each precision, with three seeds; adds its results to FILE, and continues where
                   it ends; --precision is float32,int8-backward,int8 unless named, --training chooses among the tasks
  --large PYTHON   only training steps of models from 100 to 1,200 million parameters, beside PEFT; language models from checkpoints
  --growth         only how opening, sessions, first steps and merging grow with 24 to 192 layers
  --methods FILE   only what a step costs by each method beside LoRA, as a multiple of LoRA's; adds to FILE what it lacks
  --serve          only a server under load, with a thousand adapters and with one, beside a plain loop; with --peft beside
                   FastAPI with PEFT as well; --training chooses among images, texts and neighbours
  --pictures FOLDER  latency over load as pictures
  --window FILE    only what a short window costs Whisper tiny.en, by cross-validation; adds its results to FILE, and continues
                   where it ends. Hours; --variants are default,full unless named; there are int8-backward and int8, too
  --transcribe PYTHON  only how fast Whisper tiny.en writes down recordings, beside transformers`;

const EXIT_USAGE = 2;

/** Files that the command starts. */
export interface BenchPrograms {
  /** This program, for children. */
  readonly self: string;
  /** The Python script that times PEFT. */
  readonly peft: string;
  /** The Python script that preprocesses photos. */
  readonly images: string;
  /** The Python script that makes features of sound. */
  readonly sound: string;
  /** The Python script that trains on images with PEFT. */
  readonly accuracy: string;
  /** The Python script that adapts a SAM with PEFT. */
  readonly promptable: string;
  /** The Python script that adapts a detector with PEFT. */
  readonly detection: string;
  /** The Python script that adapts a Whisper with PEFT. */
  readonly speech: string;
  /** The Python script that trains on texts with PEFT. */
  readonly text: string;
  /** The Python script that serves with FastAPI and PEFT. */
  readonly serving: string;
  /** The Python script that transcribes with transformers. */
  readonly transcribe: string;
  /** The Python script that exports models and trains them with PEFT. */
  readonly training: string;
}

/** The command, from its arguments to its exit code: 0, or 2 for arguments that it cannot use. */
export async function benchCommand(
  args: readonly string[],
  programs: BenchPrograms,
  print: (line: string) => void,
): Promise<number> {
  try {
    const { values, positionals } = parseArgs({
      args: [...args],
      allowPositionals: true,
      options: {
        model: { type: 'string' },
        out: { type: 'string' },
        quick: { type: 'boolean' },
        provider: { type: 'string' },
        threads: { type: 'string' },
        peft: { type: 'boolean' },
        training: { type: 'string' },
        precision: { type: 'string' },
        images: { type: 'string' },
        audio: { type: 'string' },
        accuracy: { type: 'string' },
        promptable: { type: 'string' },
        detection: { type: 'string' },
        transcribe: { type: 'string' },
        speech: { type: 'string' },
        text: { type: 'string' },
        precisions: { type: 'string' },
        large: { type: 'string' },
        growth: { type: 'boolean' },
        methods: { type: 'string' },
        window: { type: 'string' },
        serve: { type: 'boolean' },
        pictures: { type: 'string' },
        variants: { type: 'string' },
        help: { type: 'boolean', short: 'h' },
      },
    });
    const threads = Number(values.threads ?? availableParallelism());
    const full = fullSizes[(values.model ?? 'vit-s') as VitName] as Sizes | undefined;
    const isUsable = positionals.length <= (values.peft ? 1 : 0) && Number.isInteger(threads) && threads > 0;
    if (values.help || !isUsable || !full) {
      print(usage);
      return values.help ? 0 : EXIT_USAGE;
    }
    const named = (fallback: string): PrecisionName[] => (values.precision ?? fallback).split(',') as PrecisionName[];
    const chosen = new RegExp(values.training ?? '');
    /** Comparisons that run alone, with the Python or the file that their flag names. */
    const alone: Readonly<Partial<Record<keyof typeof values, (named: string) => Promise<unknown>>>> = {
      images: (python) => compareImages(programs.self, python, programs.images, print),
      audio: (python) => compareSound(programs.self, python, programs.sound, print),
      accuracy: (python) => compareAccuracy(python, programs.accuracy, print),
      promptable: (python) => comparePromptable(programs.self, python, programs.promptable, print),
      detection: (python) => compareDetection(programs.self, python, programs.detection, print),
      speech: (python) => compareRecognition(programs.self, python, programs.speech, print),
      text: (python) => compareTexts(programs.self, python, programs.text, chosen, named('float32,int8'), print),
      precisions: (file) => comparePrecisions(file, named('float32,int8-backward,int8'), chosen, print),
      large: (python) =>
        compareTraining(
          { self: programs.self, python, script: programs.training, provider: 'cpu' },
          { cases: largeCases.filter(({ model }) => chosen.test(model)), precisions: named('float32'), turns: 2 },
          print,
        ),
      methods: (file) =>
        inFolder(async (folder) => {
          writeOnnx(path.join(folder, 'vit.onnx'), vitModel());
          await measureMethods(path.join(folder, 'vit.onnx'), file, print);
        }),
      window: (file) => crossValidateWindows(file, values.variants ?? 'default,full', threads, print),
      transcribe: (python) => compareTranscription(programs.self, python, programs.transcribe, print),
    };
    for (const [flag, compare] of Object.entries(alone)) {
      const given = values[flag as keyof typeof values];
      if (typeof given !== 'string') continue;
      await compare(given);
      return 0;
    }
    if (values.growth) {
      await measureGrowth(programs.self, print);
      return 0;
    }
    if (values.serve) {
      const python = values.peft ? (positionals[0] ?? 'python3') : undefined;
      const places = { self: programs.self, script: programs.serving, python, pictures: values.pictures };
      const { subjects, neighbours, ...serving } = values.quick ? quickServing(quickSizes) : servingSettings(full);
      const isWanted = (name: string): boolean => chosen.test(name);
      const wanted = subjects.filter(({ name }) => isWanted(name));
      const beside = neighbours && isWanted('neighbours') ? { neighbours } : {};
      const precisions = named('float32').filter((each) => each !== 'float32');
      await measureServing(places, { ...serving, ...beside, subjects: wanted, precisions }, print);
      return 0;
    }
    const sizes = values.quick ? quickSizes : full;
    const settings: BenchSettings = { ...sizes, provider: (values.provider ?? 'cpu') as Provider, threads };
    const peft = values.peft ? await findPeft(positionals[0] ?? 'python3', programs.peft) : undefined;
    const { provider } = settings;
    const choice: TrainingChoice = {
      cases: (values.quick ? quickTrainingCases : trainingCases).filter(({ model, targets }) =>
        chosen.test(`${model} ${targets}`),
      ),
      precisions: named(provider === 'cpu' ? 'float32' : 'float32,float16'),
    };
    const sides = typeof peft === 'object' && {
      self: programs.self,
      python: peft.python,
      script: programs.training,
      provider,
      notBeside: whyNotBeside(provider, peft),
      hasBfloat16: peft.versions['bfloat16'] !== undefined,
    };
    if (values.training !== undefined) {
      if (sides) await compareTraining(sides, choice, print);
      else print(`Training steps are held against PEFT's: ${typeof peft === 'string' ? peft : 'pass --peft'}.`);
      return sides ? 0 : EXIT_USAGE;
    }
    const beside = sides && sides.notBeside !== undefined ? sides.notBeside : peft;
    const report = await bench(settings, programs.self, beside);
    for (const line of reportLines(report)) print(line);
    const training = sides && (await compareTraining(sides, choice, print));
    if (values.out !== undefined)
      await writeFileAtomic(
        values.out,
        `${JSON.stringify({ ...report, ...(training ? { training } : {}) }, undefined, 2)}\n`,
      );
    return 0;
  } catch (error) {
    const isUsers =
      error instanceof OnnxLoraError || String((error as { code?: unknown }).code).startsWith('ERR_PARSE_ARGS');
    if (!isUsers) throw error;
    print((error as Error).message);
    return EXIT_USAGE;
  }
}

/** Works in a folder that is there as long. */
async function inFolder<T>(work: (folder: string) => Promise<T>): Promise<T> {
  const folder = await mkdtemp(path.join(tmpdir(), 'onnx-lora-bench-'));
  try {
    return await work(folder);
  } finally {
    await rm(folder, { recursive: true });
  }
}

function bench(settings: BenchSettings, program: string, peft: PeftPython | string | undefined): Promise<BenchReport> {
  return inFolder(async (folder) => {
    const model = path.join(folder, 'vit.onnx');
    writeOnnx(model, vitModel(settings));
    const peak = async (name: CaseName | 'idle'): Promise<number> => {
      const result = await runChild(program, { settings, model, peak: name });
      return 'peakMb' in result ? result.peakMb : NaN;
    };
    const ours = async (half: BenchSettings): Promise<Record<string, number[]>> => {
      const result = await runChild(program, { settings: half, model });
      return 'times' in result ? result.times : {};
    };
    const [found, theirs] = typeof peft === 'object' ? await inTurn(settings, ours, peft) : [await ours(settings)];
    const cases = await collect(caseNames, found, peak);
    return {
      machine: machine(),
      settings,
      onnxLora: {
        cases,
        ratios: { ...ratiosOf(cases), ...servingRatiosOf(cases) },
        ...(await swapping(settings, program, folder)),
        idlePeakMb: await peak('idle'),
        opening: await opening(largeModels, program),
      },
      ...(typeof peft === 'string' ? { peft: { skipped: peft } } : {}),
      ...(typeof peft === 'object' && theirs ? { peft: await comparison(settings, peft, theirs) } : {}),
    };
  });
}

/** Swaps are timed on one image of one patch, so that they are not lost in the noise of a long run. */
async function swapping(settings: BenchSettings, program: string, folder: string): Promise<SwapFigures> {
  const short = { ...settings, image: settings.patch, batch: 1 };
  const model = path.join(folder, 'short.onnx');
  writeOnnx(model, vitModel(short));
  const found = await runChild(program, { swap: model, settings: short });
  return 'swapMs' in found ? found : { swapMs: NaN, addMs: NaN };
}

const largeModels: readonly LargeModel[] = [
  { nodes: 4000, bytes: 5e9, weights: 'external' },
  { nodes: 4000, bytes: 1.2e9, weights: 'inline' },
];

async function opening(models: readonly LargeModel[], program: string): Promise<(LargeModel & OpeningFigures)[]> {
  const all: (LargeModel & OpeningFigures)[] = [];
  for (const model of models) {
    const found = await inFolder((folder) => runChild(program, { open: writeLargeModel(folder, model) }));
    if ('modules' in found) all.push({ ...model, ...found });
  }
  return all;
}

type Times = Readonly<Record<string, readonly number[]>>;

/** Both sides twice, in turn, so that a slow spell of the machine does not hit one side alone. */
async function inTurn(
  settings: BenchSettings,
  ours: (half: BenchSettings) => Promise<Times>,
  peft: PeftPython,
): Promise<[Times, Times]> {
  const half = { ...settings, rounds: Math.ceil(settings.rounds / 2) };
  const [firstOurs, firstTheirs] = [await ours(half), await peftTimes(peft, half)];
  const [secondOurs, secondTheirs] = [await ours(half), await peftTimes(peft, half)];
  return [joined(firstOurs, secondOurs), joined(firstTheirs, secondTheirs)];
}

function joined(first: Times, second: Times): Times {
  return Object.fromEntries(Object.entries(first).map(([name, times]) => [name, [...times, ...(second[name] ?? [])]]));
}

async function comparison(
  settings: BenchSettings,
  peft: PeftPython,
  times: Times,
): Promise<NonNullable<BenchReport['peft']>> {
  const cases = await collect(peftCases, times, (name: PeftCase) => peftPeak(peft, settings, name));
  return { versions: peft.versions, cases, ratios: ratiosOf(cases) };
}

async function collect<Name extends CaseName>(
  names: readonly Name[],
  times: Times,
  peak: (name: Name) => Promise<number>,
): Promise<Record<Name, CaseFigures>> {
  const all: [Name, CaseFigures][] = [];
  for (const name of names) all.push([name, figures(times[name] ?? [], await peak(name))]);
  return Object.fromEntries(all) as Record<Name, CaseFigures>;
}

function machine(): BenchReport['machine'] {
  const sdk = createRequire(import.meta.url)('@onnx-lora/sdk/package.json') as { dependencies: Record<string, string> };
  return {
    cpu: cpus()[0]?.model ?? 'unknown',
    cores: availableParallelism(),
    memoryMb: Math.round(totalmem() / 2 ** 20),
    platform: `${process.platform} ${process.arch}`,
    node: process.version,
    onnxruntime: sdk.dependencies['onnxruntime-node'] ?? 'unknown',
  };
}
