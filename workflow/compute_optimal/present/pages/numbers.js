"use strict";
// What pages say of numbers.

const counted = (n, noun) => `${n} ${noun}${n === 1 ? "" : "s"}`;

// A number in so many decimals: of two that are equally near the one further from 0, and less than 1e-9 is no difference. style.rounded
// is the same rule, so a number is the same here and in tables.
function fixed(value, digits) {
  const whole = Math.round(Number(`${Math.abs(value).toFixed(9)}e${digits}`));
  const text = (whole / 10 ** digits).toFixed(digits);
  return value < 0 && whole > 0 ? `-${text}` : text;
}
