/** @file What the report shows of a classifier of images: the worst mistakes beside what is shown of any classifier. */

import {
  answersOf,
  calibrationSection,
  type ClassAnswer,
  classTable,
  type LabelledScores,
  mistakeCaption,
  type ReportPicture,
  type ReportSection,
  worstMistakes,
} from '@onnx-lora/sdk/tasks';
import type { ImageDecoder } from '../../image/image.ts';
import { shrunk, webp } from '../../report/overlay.ts';
import type { ImageDataset } from './imageDataset.ts';

/** Longer edge of a picture, and how many there are. */
const EDGE = 160;
const MISTAKES = 12;

/** What the sections are made from. */
export interface ClassificationReport {
  readonly labels: readonly string[];
  readonly validation: ImageDataset<number>;
  readonly scores: LabelledScores;
  readonly decoder: ImageDecoder;
  /** The fitted temperature, where calibration was asked for. */
  readonly temperature?: number | undefined;
}

/** The sections. Images that cannot be read any more are left out. */
export async function classificationReport(report: ClassificationReport): Promise<readonly ReportSection[]> {
  const { labels, scores, temperature } = report;
  const answers = answersOf(scores, temperature);
  const { worst, text } = worstMistakes(answers, MISTAKES, 'images');
  const pictures = (await Promise.all(worst.map((each) => picture(each, report)))).filter((each) => each !== undefined);
  return [
    ...(pictures.length > 0 ? [{ kind: 'gallery', title: 'Worst mistakes', text, pictures } as const] : []),
    classTable(labels, answers, 'images'),
    ...(temperature === undefined ? [] : [calibrationSection(scores, temperature, 'images')]),
  ];
}

async function picture(
  answer: ClassAnswer,
  { validation, decoder, labels }: ClassificationReport,
): Promise<ReportPicture | undefined> {
  const file = validation.nameOf(answer.index);
  try {
    const image = await webp(shrunk(await decoder.decode(file), EDGE));
    const caption = mistakeCaption(answer, labels);
    return { image, alt: `${file}: ${caption}`, caption };
  } catch {
    return undefined;
  }
}
