/** @file A colour for each class. */

import type { Color } from '../augment/affine.ts';

/**
 * The colours of Pascal VOC: black for 0, and neighbours in number far apart in colour, by spreading the number's bits over the
 * channels.
 *
 * @see http://host.robots.ox.ac.uk/pascal/VOC/voc2012/ VOCdevkit, VOClabelcolormap.m
 */
export function classColor(number: number): Color {
  const channel = (bit: number): number => {
    let level = 0;
    for (let i = 0; i < 3; i++) level |= ((number >> (3 * i + bit)) & 1) << (7 - i);
    return level;
  };
  return [channel(0), channel(1), channel(2)];
}
