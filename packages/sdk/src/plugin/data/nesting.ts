/** @file Tells JSON that is nested more deeply than data are: functions that call themselves would run out of stack on it. */

/** Lists of polygons of points have four levels; this is more than any data need. */
const MOST_LEVELS = 64;

/** True of a value with lists or objects in one another, more of them than data have. */
export function isNestedDeeply(value: unknown, levels: number = MOST_LEVELS): boolean {
  if (typeof value !== 'object' || value === null) return false;
  return levels === 0 || Object.values(value).some((each) => isNestedDeeply(each, levels - 1));
}
