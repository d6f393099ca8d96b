import dataclasses

import pytest

from mmjax.errors import UserError
from mmjax.planning import hlo, traffic
from mmjax.planning.collectives import find, seconds, summary
from mmjax.planning.topology import parse

PROGRAM = """HloModule jit_step, is_scheduled=true

%add (a: f32[], b: f32[]) -> f32[] {
  %a = f32[] parameter(0)
  %b = f32[] parameter(1)
  ROOT %s = f32[] add(%a, %b)
}

%cut (p: f32[6,8], i: s32[]) -> f32[1,8] {
  %p = f32[6,8]{1,0:T(8,128)} parameter(0)
  %i = s32[]{:T(128)} parameter(1)
  ROOT %d = f32[1,8]{1,0:T(8,128)} dynamic-slice(%p, %i, %i), dynamic_slice_sizes={1,8}
}

%body (t: (s32[], f32[6,8], f32[6,8], f32[8])) -> (s32[], f32[6,8], f32[6,8], f32[8]) {
  %t = (s32[]{:T(128)}, f32[6,8]{1,0:T(8,128)}, /*index=2*/f32[6,8]{1,0}, f32[8]{0}) parameter(0)
  %n = s32[]{:T(128)} get-tuple-element(%t), index=0
  %w = f32[6,8]{1,0:T(8,128)} get-tuple-element(%t), index=1
  %kept = f32[6,8]{1,0} get-tuple-element(%t), index=2
  %x = f32[8]{0} get-tuple-element(%t), index=3
  %row = f32[1,8]{1,0:T(8,128)} fusion(%w, %n), kind=kLoop, calls=%cut
  %sum = f32[8]{0} all-reduce(%x), channel_id=1, replica_groups=[2,2]<=[4], to_apply=%add
  %all = f32[16]{0} all-gather(%x), channel_id=2, replica_groups={{0,2},{1,3}}, dimensions={0}
  %few = s8[1,1,2]{2,1,0} constant({
{ /*i0=0*/
{ /*i1=0*/ 1, 2 }
}
})
  %kernel = f32[8]{0} custom-call(%x), custom_call_target="tpu_custom_call", frontend_attributes={
"kernel_metadata":"{}"
}}, metadata={op_name="attention"}
  %part = f32[1,8]{1,0} reshape(%sum)
  %new = f32[6,8]{1,0} dynamic-update-slice(%kept, %part, %n, %n)
  ROOT %r = (s32[], f32[6,8], f32[6,8], f32[8]) tuple(%n, %w, %new, %sum)
}

%cond (t: (s32[], f32[6,8], f32[6,8], f32[8])) -> pred[] {
  %t = (s32[]{:T(128)}, f32[6,8]{1,0:T(8,128)}, f32[6,8]{1,0}, f32[8]{0}) parameter(0)
  %six = s32[]{:T(128)} constant(6)
  %n = s32[]{:T(128)} get-tuple-element(%t), index=0
  ROOT %lt = pred[]{:T(512)} compare(%n, %six), direction=LT
}

ENTRY %main (a: f32[6,8]) -> f32[8] {
  %a = f32[6,8]{1,0:T(8,128)} parameter(0)
  %start = (s32[], f32[6,8], f32[6,8], f32[8]) custom-call()
  %loop = (s32[], f32[6,8]{1,0}, f32[6,8]{1,0}, f32[8]{0}) while(%start), condition=%cond, body=%body
  %y = f32[8]{0} get-tuple-element(%loop), index=3
  %swapped = f32[8]{0} all-to-all(%y), channel_id=3, replica_groups=mesh['a'=2,'b'=2], device_ids=([2,2]T(1,0)) {'b'}, dimensions={0}
  ROOT %z = f32[8]{0} collective-permute(%swapped), channel_id=4, source_target_pairs={{0,1},{1,0}}
}
"""  # noqa: E501


@dataclasses.dataclass(frozen=True)
class Device:
    id: int
    coords: tuple[int, ...]
    slice_index: int


@pytest.fixture(scope="module")
def program():
    return hlo.parse(PROGRAM)


def devices(slices):
    return [Device(i, (i // 2 if slices == 1 else 0, i % 2), i // 2 % slices) for i in range(4)]


def test_counted_by_kind_with_the_bytes_of_rings(program):
    found = summary(find(program, devices(1)))
    assert found["all-reduce"] == {"count": 6, "fast_bytes": 6 * 32, "slow_bytes": 0}
    assert found["all-gather"] == {"count": 6, "fast_bytes": 6 * 32, "slow_bytes": 0}
    assert found["all-to-all"] == {"count": 1, "fast_bytes": 16, "slow_bytes": 0}
    assert found["collective-permute"] == {"count": 1, "fast_bytes": 32, "slow_bytes": 0}


def test_bytes_between_slices_are_the_slow_ones(program):
    found = {c.kind: c for c in find(program, devices(2))}
    assert (found["all-reduce"].slices, found["all-reduce"].fast) == (1, 32)
    assert (found["all-gather"].slices, found["all-gather"].slow) == (2, 32)
    assert (found["all-to-all"].slices, found["all-to-all"].slow) == (2, 16)
    chip = parse("v5e:2x2").chip
    assert seconds(found["all-gather"], parse("v5e:2x2", 2)) == 32 / chip.network_rate
    # two neighbours of four in a row: an open ring, at half of the rate
    assert seconds(found["all-reduce"], parse("v5e:2x2", 2)) == 32 / (chip.link_rate / 2)


def test_a_loop_saves_what_it_writes_and_reads_what_it_cuts_out(program):
    assert traffic.saved_for_backward(program) == 6 * 8 * 4  # not the weights, which pass through
    row = next(i for _, i, _ in program.walk() if i.name == "row")
    whole = traffic.bytes_moved(program)
    without = dataclasses.replace(program, computations={
        name: {k: v for k, v in body.items() if v != row}
        for name, body in program.computations.items()
    })  # fmt: skip
    # a row of 8 numbers and its place, read, and the row written, six times
    assert whole - traffic.bytes_moved(without) == 6 * (32 + 4 + 32)


def test_topologies_are_named_by_chip_and_shape():
    pod = parse("v5p:4x4x8")
    assert (pod.chips, pod.devices, pod.wrapped(0)) == (128, 128, True)
    assert parse("tpu7x:2x2x1").devices == 8
    assert not parse("v5e:4x8").wrapped(0)
    for wrong in ("v5p:4x4", "v9:2x2", "v5e", "v5e:2x2x2"):
        with pytest.raises(UserError, match="--topology"):
            parse(wrong)
