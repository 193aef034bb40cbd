/** @file Prompts as the command line takes them. */

import { OnnxLoraError } from '@onnx-lora/sdk';
import type { TaskSetting, TaskSettingValue } from '@onnx-lora/sdk/plugin';
import type { Box, Point } from '../../data/imageRecord.ts';
import type { Prompt } from './prompt.ts';

/** `--set points=86,50;20,30 --set labels=1;0`, `--set box=10,20,90,80`. */
export const promptSettings: readonly TaskSetting[] = [
  { name: 'points', kind: 'text', description: 'To predict: points of one object in pixels, x,y;x,y.' },
  {
    name: 'labels',
    kind: 'text',
    description: 'For each point 1 (on the object) or 0 (not on it); all 1 by default: 1;0.',
  },
  { name: 'box', kind: 'text', description: 'To predict: a box around the object in pixels, left,upper,right,lower.' },
];

/**
 * The prompt that settings say.
 *
 * @throws OnnxLoraError `CONFIG_INVALID` for text that is none, and where there is neither point nor box
 */
export function promptFrom(settings: Readonly<Record<string, TaskSettingValue>>): Prompt {
  const { points, labels, box } = settings as { points?: string; labels?: string; box?: string };
  if (points === undefined && box === undefined) {
    throw wrong('say which object is meant: --set points=x,y with a point on it, or --set box=left,upper,right,lower');
  }
  const parsed = points?.split(';').map((each) => numbers('points', each, 2) as unknown as Point);
  const signs = labels?.split(';').map((each) => {
    const label = each.trim();
    if (label !== '0' && label !== '1')
      throw wrong(`labels are 1 or 0, one per point, with a semicolon between, but there is "${label}"`);
    return label === '1' ? 1 : 0;
  });
  return {
    ...(parsed && { points: parsed }),
    ...(signs && { labels: signs }),
    ...(box !== undefined && { box: numbers('box', box, 4) as unknown as Box }),
  };
}

function numbers(name: string, text: string, count: number): number[] {
  const found = text.split(',').map((each) => (each.trim() === '' ? NaN : Number(each)));
  if (found.length === count && found.every(Number.isFinite)) return found;
  throw wrong(
    `"${text}" in ${name} is not ${count} numbers with commas between, such as ${[40, 30, 90, 80].slice(0, count).join()}`,
  );
}

function wrong(message: string): OnnxLoraError {
  return new OnnxLoraError('CONFIG_INVALID', `${message[0]!.toUpperCase()}${message.slice(1)}.`);
}
