/** @file Pictures and data folders that stand in for a reader's own. */

import { mkdir, rename, writeFile } from 'node:fs/promises';
import path from 'node:path';
import sharp from 'sharp';
import { writeDigits } from '../../test/fixtures/digits.ts';
import type { Fixture } from './fixtures.ts';

/** A picture of a round thing, at `x`, `y`. */
export function picture(width = 96, height = 64, x = 48, y = 32): Fixture {
  return async (file) => {
    await mkdir(path.dirname(file), { recursive: true });
    await sharp(Buffer.from(scene(width, height, x, y, 'white', 'teal'))).toFile(file);
  };
}

/** The mask of that thing. */
function maskOfPicture(width = 96, height = 64, x = 48, y = 32): Fixture {
  return (file) => sharp(Buffer.from(scene(width, height, x, y, 'black', 'white'))).toFile(file);
}

function scene(width: number, height: number, x: number, y: number, ground: string, paint: string): string {
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}">
    <rect width="100%" height="100%" fill="${ground}"/><circle cx="${x}" cy="${y}" r="${height / 5}" fill="${paint}"/>
  </svg>`;
}

/** Class folders of handwritten digits, called after what they stand for. */
export function classFolders(names: readonly string[], perClass: number, from = 0): Fixture {
  return async (folder) => {
    const classes = names.map((_, digit) => digit);
    writeDigits(folder, { perClass, from, classes });
    for (const digit of classes) {
      const name = names[digit]!;
      if (name !== String(digit)) await rename(path.join(folder, String(digit)), path.join(folder, name));
    }
  };
}

/** Pictures with a mask for each, and the manifest that names them. */
export function maskedPictures(count: number): Fixture {
  return async (folder) => {
    const rows = ['image,mask'];
    await mkdir(folder, { recursive: true });
    for (let i = 0; i < count; i++) {
      const [x, y] = [20 + ((i * 17) % 56), 16 + ((i * 29) % 32)];
      await picture(96, 64, x, y)(path.join(folder, `${i}.png`));
      await maskOfPicture(96, 64, x, y)(path.join(folder, `${i}-mask.png`));
      rows.push(`${i}.png,${i}-mask.png`);
    }
    await writeFile(path.join(folder, 'manifest.csv'), rows.join('\n'));
  };
}

/** Pictures with captions, in a manifest. */
export function captionedPictures(captions: readonly string[]): Fixture {
  return async (file) => {
    const rows = ['image,text'];
    for (const [i, caption] of captions.entries()) {
      await picture(64, 64, 20 + 3 * i)(`captioned-${i}.jpg`);
      rows.push(`captioned-${i}.jpg,${caption}`);
    }
    await writeFile(file, rows.join('\n'));
  };
}

/** Instances of one picture in COCO's form. */
export const cocoInstances: Fixture = async (file) => {
  const [width, height] = [640, 480];
  await picture(width, height)(path.join(path.dirname(file), 'cell.png'));
  const content = {
    images: [{ id: 1, file_name: 'cell.png', width, height }],
    categories: [{ id: 1, name: 'cell' }],
    annotations: [
      {
        id: 1,
        image_id: 1,
        category_id: 1,
        bbox: [280, 200, 80, 80],
        segmentation: [[280, 200, 360, 200, 360, 280, 280, 280]],
      },
    ],
  };
  await writeFile(file, JSON.stringify(content));
};
