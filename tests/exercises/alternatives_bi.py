"""Right answers to the exercises of *Bidirectional networks* of other designs than the solution's."""

from __future__ import annotations

from typing import Any

import numpy as np

from companion import ops, rnn
from companion.bidirectional import BidirectionalParams, BidirectionalState, bidirectional, reverse
from companion.bptt import prefix_mask, unroll, unroll_backward
from companion.exercises.bi import hunt_reverse

# --- reversal


def reversed_sequence_by_sequence(xs: Any, mask: Any) -> Any:
    out = xs.copy()
    for b, n in enumerate(mask.sum(axis=0)):
        out[:n, b] = np.flip(xs[:n, b], axis=0)
    return out


def reversed_by_a_sort(xs: Any, mask: Any) -> Any:
    steps = np.arange(len(xs))[:, None]
    order = np.argsort(np.where(mask, -steps, steps), axis=0)
    return np.take_along_axis(xs, order[:, :, None], axis=0)


def reversed_by_matrices(xs: Any, mask: Any) -> Any:
    T, steps = len(xs), np.arange(len(xs))
    lengths = mask.sum(axis=0)[:, None]
    from_step = np.where(mask.T, lengths - 1 - steps, steps)
    return np.einsum("bts,sbd->tbd", np.eye(T)[from_step], xs)


# --- the forward pass


def bidirectional_with_companion(xs: Any, mask: Any, forward: Any, backward: Any) -> Any:
    params = BidirectionalParams(rnn.ElmanParams(*forward[:3]), rnn.ElmanParams(*backward[:3]))
    state = BidirectionalState(rnn.ElmanState(forward[3]), rnn.ElmanState(backward[3]))
    return bidirectional(rnn.Elman, params, xs, state, mask)[0]


def bidirectional_one_by_one(xs: Any, mask: Any, forward: Any, backward: Any) -> Any:
    H = len(forward[2])
    ys = np.zeros((*mask.shape, 2 * H))
    for b, n in enumerate(mask.sum(axis=0)):
        h, z = forward[3][b], backward[3][b]
        for t in range(n):
            h = np.tanh(forward[0] @ xs[t, b] + forward[1] @ h + forward[2])
            z = np.tanh(backward[0] @ xs[n - 1 - t, b] + backward[1] @ z + backward[2])
            ys[t, b, :H], ys[n - 1 - t, b, H:] = h, z
    return ys


def bidirectional_by_reversal(xs: Any, mask: Any, forward: Any, backward: Any) -> Any:
    def layer(xs: Any, W_x: Any, W_h: Any, b: Any, h: Any) -> Any:
        hs, inputs = [], np.einsum("tbd,hd->tbh", xs, W_x) + b
        for z in inputs:
            h = np.tanh(z + h @ W_h.T)  # padding comes last: what it does to the state is never read
            hs.append(h)
        return np.stack(hs) * mask[:, :, None]

    back = reversed_sequence_by_sequence(layer(reversed_sequence_by_sequence(xs, mask), *backward), mask)
    return np.append(layer(xs, *forward), back, axis=-1)


# --- summary, loss, accuracy


def features_sequence_by_sequence(ys: Any, mask: Any) -> Any:
    H = ys.shape[-1] // 2
    return np.array([[*ys[n - 1, b, :H], *ys[0, b, H:]] for b, n in enumerate(mask.sum(axis=0))])


def features_by_one_hot(ys: Any, mask: Any) -> Any:
    ends = mask & ~np.concatenate([mask[1:], np.zeros_like(mask[:1])])
    h, z = np.split(ys, 2, axis=2)
    return np.hstack([np.einsum("tb,tbh->bh", ends, h), z[0]])


def masked_cross_entropy_with_ops(logits: Any, labels: Any, mask: Any) -> Any:
    loss, cache = ops.cross_entropy(logits[mask], labels[mask])
    dlogits = np.zeros_like(logits)
    dlogits[mask] = ops.cross_entropy_backward(cache)
    return loss, dlogits


def masked_cross_entropy_step_by_step(logits: Any, labels: Any, mask: Any) -> Any:
    losses, dlogits = [], np.zeros(logits.shape)
    for t, b in np.argwhere(mask):
        e = np.exp(logits[t, b] - max(logits[t, b]))
        y = e / sum(e)
        losses.append(-np.log(y[labels[t, b]]))
        dlogits[t, b] = y
        dlogits[t, b, labels[t, b]] -= 1
    return [np.mean(losses), dlogits / len(losses)]


def masked_cross_entropy_by_weights(logits: Any, labels: Any, mask: Any) -> Any:
    weights = mask / np.count_nonzero(mask)
    log_y = ops.log_softmax(logits)
    hot = np.eye(logits.shape[2])[labels]
    return float(np.einsum("tb,tbk,tbk->", -weights, log_y, hot)), weights[..., None] * (np.exp(log_y) - hot)


def letters_and_words_one_by_one(predictions: Any, labels: Any, lengths: Any) -> Any:
    letters = words = 0
    for b, n in enumerate(lengths):
        right = [predictions[t, b] == labels[t, b] for t in range(n)]
        letters += sum(right)
        words += all(right)
    return letters / sum(lengths), words / len(lengths)


def letters_and_words_by_errors(predictions: Any, labels: Any, lengths: Any) -> Any:
    errors = ((predictions != labels) & prefix_mask(lengths, len(labels))).sum(axis=0)
    return 1 - errors.sum() / lengths.sum(), np.mean(errors == 0)


# --- window and delay


def windows_entry_by_entry(xs: Any, mask: Any, w: int) -> Any:
    T, B, D = xs.shape
    out = np.zeros((T, B, 2 * w + 1, D))
    for t, b in np.argwhere(mask):
        for k in range(-w, w + 1):
            if 0 <= t + k < T and mask[t + k, b]:
                out[t, b, k + w] = xs[t + k, b]
    return out.reshape(T, B, -1)


def windows_by_index(xs: Any, mask: Any, w: int) -> Any:
    T, steps = len(xs), np.arange(len(xs))[:, None] + np.arange(-w, w + 1)
    inside = ((steps >= 0) & (steps < T))[:, :, None]
    at = np.clip(steps, 0, T - 1)
    known = np.where((inside & mask[at])[..., None], xs[at], 0) * mask[:, None, :, None]
    return known.swapaxes(1, 2).reshape(T, xs.shape[1], -1)


def windows_by_sliding_view(xs: Any, mask: Any, w: int) -> Any:
    cleared = np.pad(xs * mask[..., None], ((w, w), (0, 0), (0, 0)))
    view = np.lib.stride_tricks.sliding_window_view(cleared, 2 * w + 1, axis=0)
    return (np.moveaxis(view, 3, 2) * mask[..., None, None]).reshape(*mask.shape, -1)


def delayed_letter_by_letter(xs: Any, labels: Any, mask: Any, d: int) -> Any:
    T, B, D = xs.shape
    inputs, targets = np.zeros((T + d, B, D)), np.zeros((T + d, B), dtype=int)
    counts = np.zeros((T + d, B))
    for t, b in np.argwhere(mask):
        inputs[t, b], targets[t + d, b], counts[t + d, b] = xs[t, b], labels[t, b], 1
    return [inputs, targets, counts]


def delayed_by_padding(xs: Any, labels: Any, mask: Any, d: int) -> Any:
    return (
        np.pad(xs * mask[:, :, None], ((0, d), (0, 0), (0, 0))),
        np.pad(labels * mask, ((d, 0), (0, 0))),
        np.pad(mask.astype(float), ((d, 0), (0, 0))),
    )


# --- backward passes


def backward_layer_with_companion(xs: Any, zs: Any, mask: Any, z_end: Any, dzs: Any, W_x: Any, W_h: Any) -> Any:
    after = np.where(mask[1:2, :, None].any(axis=0), zs[1 % len(zs)], z_end) if len(zs) > 1 else z_end
    b = np.arctanh(zs[0, 0]) - W_x @ xs[0, 0] - W_h @ after[0]
    params = rnn.ElmanParams(W_x, W_h, b)
    _, _, caches = unroll(rnn.Elman, params, reverse(xs, mask), rnn.ElmanState(z_end), mask)
    dparams, dxs, _ = unroll_backward(rnn.Elman, params, caches, reverse(dzs, mask))
    return *dparams, reverse(dxs, mask)


def backward_layer_one_by_one(xs: Any, zs: Any, mask: Any, z_end: Any, dzs: Any, W_x: Any, W_h: Any) -> Any:
    dW_x, dW_h, db, dxs = (np.zeros(shape) for shape in (W_x.shape, W_h.shape, len(W_x), xs.shape))
    for b, n in enumerate(mask.sum(axis=0)):
        error = np.zeros(len(W_x))
        for t in range(n):
            error = (dzs[t, b] + W_h.T @ error) * (1 - zs[t, b]) * (1 + zs[t, b])
            dW_x += np.outer(error, xs[t, b])
            dW_h += np.outer(error, zs[t + 1, b] if t + 1 < n else z_end[b])
            db += error
            dxs[t, b] = W_x.T @ error
    return dW_x, dW_h, db, dxs


def to_the_layer_below_with_companion(dus: Any, dus_reversed: Any, mask: Any) -> Any:
    dys = dus + reverse(dus_reversed, mask)
    H = dys.shape[2] // 2
    return dys[:, :, :H], reverse(dys[:, :, H:], mask)


def to_the_layer_below_one_by_one(dus: Any, dus_reversed: Any, mask: Any) -> Any:
    H = dus.shape[2] // 2
    dhs, dzs_reversed = np.zeros((2, *mask.shape, H))
    for b, n in enumerate(mask.sum(axis=0)):
        dhs[:n, b] = dus[:n, b, :H] + dus_reversed[:n, b, :H][::-1]
        dzs_reversed[:n, b] = dus[:n, b, H:][::-1] + dus_reversed[:n, b, H:]
    return dhs, dzs_reversed


# --- bug hunts


def repaired_by_flipping_in_a_loop(cache: Any, dzs: Any) -> Any:
    us, vs, mask, z_end, W_x, W_h = cache
    xs, zs = (reversed_sequence_by_sequence(each, mask) for each in (us, vs))
    *dparams, dxs = backward_layer_one_by_one(xs, zs, mask, z_end, dzs, W_x, W_h)
    return dxs, *dparams


def repaired_around_the_bug(cache: Any, dzs: Any) -> Any:
    mask = cache[2]
    dxs, *rest = hunt_reverse.buggy_backward(cache, reverse(dzs, mask)[::-1])
    return reverse(dxs[::-1], mask), *rest


def stream_that_waits_for_the_end(xs: Any, forward: Any, backward: Any, k: int) -> Any:
    def layer(xs: Any, W_x: Any, W_h: Any, b: Any, state: Any) -> Any:
        states = [state]
        for x in xs:
            states.append(np.tanh(x @ W_x.T + states[-1] @ W_h.T + b))
        return np.stack(states[1:])

    return np.hstack([layer(xs, *forward), layer(xs[::-1], *backward)[::-1]])


def stream_with_companion(xs: Any, forward: Any, backward: Any, k: int) -> Any:
    params = BidirectionalParams(rnn.ElmanParams(*forward[:3]), rnn.ElmanParams(*backward[:3]))
    state = BidirectionalState(rnn.ElmanState(forward[3][None]), rnn.ElmanState(backward[3][None]))
    return bidirectional(rnn.Elman, params, xs[:, None], state)[0][:, 0]


ALTERNATIVES: dict[str, tuple[Any, ...]] = {
    "bi.parameters": (14720, 14720.0, np.int64(14720), lambda: 8 * 20 * (31 + 61), np.array(14720)),
    "bi.reach": (
        (6, 8, 5, 20),
        [6, 8, 5, 20],
        lambda: (6.0, 8.0, 5.0, 20.0),
        tuple(np.array([6, 8, 5, 20])),
    ),
    "bi.reverse": (reversed_sequence_by_sequence, reversed_by_a_sort, reversed_by_matrices, reverse),
    "bi.forward": (bidirectional_with_companion, bidirectional_one_by_one, bidirectional_by_reversal),
    "bi.summary": (features_sequence_by_sequence, features_by_one_hot),
    "bi.masked_loss": (
        masked_cross_entropy_with_ops,
        masked_cross_entropy_step_by_step,
        masked_cross_entropy_by_weights,
    ),
    "bi.accuracy": (letters_and_words_one_by_one, letters_and_words_by_errors),
    "bi.window": (windows_entry_by_entry, windows_by_index, windows_by_sliding_view),
    "bi.delay": (delayed_letter_by_letter, delayed_by_padding),
    "bi.backward_layer": (backward_layer_with_companion, backward_layer_one_by_one),
    "bi.stacked": (to_the_layer_below_with_companion, to_the_layer_below_one_by_one),
    "bi.hunt_reverse": (repaired_by_flipping_in_a_loop, repaired_around_the_bug),
    "bi.hunt_stream": (stream_that_waits_for_the_end, stream_with_companion),
}
