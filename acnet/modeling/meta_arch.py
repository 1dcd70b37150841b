"""The whole detector: Fig. 1 of the paper."""

import itertools
import math
from collections.abc import Callable, Iterator

import torch
import torch.nn.functional as F
from detectron2.config import configurable
from detectron2.modeling import GeneralizedRCNNWithTTA
from detectron2.modeling.meta_arch import META_ARCH_REGISTRY, GeneralizedRCNN
from detectron2.structures import Boxes, ImageList, Instances
from detectron2.utils.events import get_event_storage
from torch import Tensor, nn

from acnet.layers import soft_nms
from acnet.layers.host import Turns, constant, take_turns

from .heads import SoftNMSOutputLayers
from .own_cells import has_mark, run_backbone

__all__ = ["ACNet", "ACNetWithTTA"]

FEWEST_IN_TURNS = 4  # pictures; fewer do not fill a GPU, and two halves of them even less
Choice = Callable[[list[Instances]], Turns[list[Instances]]]


@META_ARCH_REGISTRY.register()
class ACNet(GeneralizedRCNN):
    """`GeneralizedRCNN` whose backbone may add losses of its own.

    A backbone with the attribute `gives_losses` is called with the boxes and returns features and
    losses, so that hooks, FSDP and `torch.compile` see the call; one that only has a method
    `forward_with_losses(images, gt_instances)` is supervised through that. Any other is called as
    usual, so that every row of the ablations is this class. Whatever takes a `GeneralizedRCNN`
    takes this.

    Reference: paper, Fig. 1, III-D.
    """

    @configurable
    def __init__(self, *, channels_last: bool = False, **kwargs):
        """
        Args:
            channels_last: give the backbone its images in this memory format. Faster together with
                a model converted to it, in mixed precision.
            kwargs: as for `GeneralizedRCNN`.
        """
        super().__init__(**kwargs)
        self.channels_last = channels_last
        # Whether a batch is predicted in two halves, so that a GPU computes one of them while the
        # host picks boxes of the other; `acnet.inference.optimize` sets it.
        self.takes_turns = False
        _check_channels(self)
        if channels_last:
            self.to(memory_format=torch.channels_last)

    @classmethod
    def from_config(cls, cfg):
        return {**super().from_config(cfg), "channels_last": cfg.MODEL.ACNET.CHANNELS_LAST}

    def forward(self, batched_inputs: list[dict]) -> list[dict] | dict[str, Tensor]:
        """Same as `GeneralizedRCNN.forward`, with "loss_attention" among the losses.

        Raises:
            ValueError: in training, if an image comes without "instances", or with a class that
                the heads do not have.
        """
        if not self.training:
            return self.inference(batched_inputs)
        if not all("instances" in one for one in batched_inputs):
            raise ValueError(
                "Training needs the ground truth of every image under the key 'instances' (with no "
                "boxes where there are none). Received inputs without it; use a DatasetMapper with "
                "is_train=True, or call model.eval()."
            )
        self._check_classes(batched_inputs)
        images = self.preprocess_image(batched_inputs)
        gt_instances = [one["instances"].to(self.device) for one in batched_inputs]
        features, attention_losses = self._extract_features(images, gt_instances)
        proposals, proposal_losses = self.proposal_generator(images, features, gt_instances)
        _, detector_losses = self.roi_heads(images, features, proposals, gt_instances)
        if self.vis_period > 0 and get_event_storage().iter % self.vis_period == 0:
            self.visualize_training(batched_inputs, proposals)
        return {**detector_losses, **proposal_losses, **attention_losses}  # Eq. (6)

    def _check_classes(self, batched_inputs: list[dict]) -> None:
        """Refuse a class that detectron2 would train as background, without a look at a GPU."""
        limit = getattr(self.roi_heads, "num_classes", None)
        for one in batched_inputs:
            given = one["instances"]
            if limit is None or not given.has("gt_classes") or given.gt_classes.is_cuda:
                continue
            highest = given.gt_classes.numpy().max(initial=-1)
            if highest >= limit:
                raise ValueError(
                    "A detector has one output for each class of its data. Received class "
                    f"{highest}, counted from 0, of {one.get('file_name', 'an image')} for a model "
                    f"of {limit}. Set num_classes (MODEL.ROI_HEADS.NUM_CLASSES) to the number of "
                    "classes."
                )

    def _extract_features(
        self, images: ImageList, gt_instances: list[Instances]
    ) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        if has_mark(self.backbone, "gives_losses"):
            boxes = [one.gt_boxes.tensor for one in gt_instances]
            return self.backbone(images.tensor, images.image_sizes, boxes)
        if hasattr(self.backbone, "forward_with_losses"):
            return self.backbone.forward_with_losses(images, gt_instances)
        return self.extract_features(images), {}

    def extract_features(self, images: ImageList) -> dict[str, Tensor]:
        """The maps of the backbone, in which pictures of other sizes or padding have no share."""
        return run_backbone(self.backbone, images.tensor, images.image_sizes)

    def inference(
        self,
        batched_inputs: list[dict],
        detected_instances: list[Instances] | None = None,
        do_postprocess: bool = True,
    ) -> list[dict] | list[Instances]:
        """Same as `GeneralizedRCNN.inference`, but a picture's answer is the one it gets alone.

        Pictures that are padded to different sizes go through the model one size after the other,
        which takes no longer: nothing is computed on padding.
        """
        results: list[dict | Instances | None] = [None] * len(batched_inputs)
        for indices in self.equal_sizes(batched_inputs):
            inputs = [batched_inputs[index] for index in indices]
            known = detected_instances and [detected_instances[index] for index in indices]
            found = self._infer(inputs, known)
            if do_postprocess:
                found = self._postprocess(found, inputs, [one.image_size for one in found])
            for index, one in zip(indices, found, strict=True):
                results[index] = one
        return results

    def _postprocess(
        self, found: list[Instances], inputs: list[dict], sizes_hw: list[tuple[int, int]]
    ) -> list[dict]:
        """Bring detections to the sizes that are wanted; none is empty, so no look is needed."""
        wanted = [
            (one.get("height", size[0]), one.get("width", size[1]))
            for one, size in zip(inputs, sizes_hw, strict=True)
        ]
        is_ours = isinstance(getattr(self.roi_heads, "box_predictor", None), SoftNMSOutputLayers)
        if not is_ours or any(one.has("pred_masks") or one.has("pred_keypoints") for one in found):
            return super()._postprocess(found, inputs, sizes_hw)
        results = []
        for one, (h, w), (height, width) in zip(found, sizes_hw, wanted, strict=True):
            result = Instances((height, width), **one.get_fields())
            if (h, w) != (height, width):
                boxes = one.pred_boxes.tensor
                boxes = boxes * constant((width / w, height / h) * 2, boxes)
                limits = constant((width, height) * 2, boxes)
                result.pred_boxes = Boxes(boxes.clamp(min=0).minimum(limits))
            results.append({"instances": result})
        return results

    def equal_sizes(self, batched_inputs: list[dict]) -> list[list[int]]:
        """The indices of the pictures that are padded to one size where they are alone, by size."""
        divisor = max(self.backbone.size_divisibility, 1)
        groups: dict[tuple[int, ...], list[int]] = {}
        for index, one in enumerate(batched_inputs):
            cells = tuple(-(-length // divisor) for length in one["image"].shape[-2:])
            groups.setdefault(cells, []).append(index)
        return list(groups.values())

    def halves(self, inputs: list[dict]) -> list[slice]:
        """The parts of a batch that take turns; one where nothing would be gained.

        The first is the larger, since nothing is computed while the host picks boxes of the last.
        """
        middle = 5 * len(inputs) // 8
        if not self.takes_turns or len(inputs) < FEWEST_IN_TURNS:
            return [slice(None)]
        return [slice(middle), slice(middle, None)]

    def detecting(self, inputs: list[dict], choose: Choice | None = None) -> Turns[list[Instances]]:
        """Find what is in pictures of one size, in turns; boxes are at their size in the batch.

        `choose` takes proposals and returns those that the box head is to look at, in turns.
        """
        images = self.preprocess_image(inputs)
        features = self.extract_features(images)
        proposals, _ = yield from self.proposal_generator.proposing(images, features)
        if choose is not None:
            proposals = yield from choose(proposals)
        return (yield from self.roi_heads.detecting(features, proposals))

    def _infer(self, inputs: list[dict], known: list[Instances] | None) -> list[Instances]:
        halves = self.halves(inputs)
        if known is None and len(halves) > 1:
            found = take_turns([self.detecting(inputs[half]) for half in halves])
            return list(itertools.chain(*found))
        images = self.preprocess_image(inputs)
        features = self.extract_features(images)
        if known is not None:
            known = [one.to(self.device) for one in known]
            return self.roi_heads.forward_with_given_boxes(features, known)
        proposals, _ = self.proposal_generator(images, features, None)
        return self.roi_heads(images, features, proposals, None)[0]

    def preprocess_image(self, batched_inputs: list[dict]) -> ImageList:
        """Normalise, pad and batch the images, in the memory format that the model was made for."""
        images = [one["image"] for one in batched_inputs]
        constraints, sizes = self.backbone.padding_constraints, [one.shape[-2:] for one in images]
        divisor = constraints.get("size_divisibility", self.backbone.size_divisibility) or 1
        square = constraints.get("square_size", 0)
        height, width = (
            -(-(square or max(sides)) // divisor) * divisor for sides in zip(*sizes, strict=True)
        )
        padded = [
            F.pad((group - self.pixel_mean) / self.pixel_std, (0, width - w, 0, height - h))
            for group, (h, w) in self._groups_on_device(images)
        ]
        together = padded[0] if len(padded) == 1 else torch.cat(padded)
        images = ImageList(together, [tuple(size) for size in sizes])
        if self.channels_last:
            images.tensor = images.tensor.contiguous(memory_format=torch.channels_last)
        return images

    def _groups_on_device(self, images: list[Tensor]) -> Iterator[tuple[Tensor, tuple[int, int]]]:
        """Stack neighbours of one size, and give each stack and that size.

        A GPU takes a whole stack from pinned memory, for which the host does not wait.
        """
        device = self.device
        for (_, size_hw, _, kind), group in itertools.groupby(images, _likeness):
            same = list(group)
            if device.type == "cuda" and kind == "cpu":
                stack = torch.empty(
                    (len(same), *same[0].shape), dtype=same[0].dtype, pin_memory=True
                )
                for place, one in zip(stack.numpy(), same, strict=True):
                    place[...] = one.numpy()  # torch would wake its threads for it
            else:
                stack = torch.stack(same)
            yield stack.to(device, non_blocking=True), size_hw


class ACNetWithTTA(GeneralizedRCNNWithTTA):
    """`GeneralizedRCNNWithTTA` that merges by the model's Soft-NMS, where detectron2's uses NMS."""

    def _merge_detections(
        self,
        all_boxes: Tensor,
        all_scores: list[Tensor],
        all_classes: list[Tensor],
        shape_hw: tuple[int, int],
    ) -> Instances:
        predictor = self.model.roi_heads.box_predictor
        if not isinstance(predictor, SoftNMSOutputLayers) or not all_scores:
            return super()._merge_detections(all_boxes, all_scores, all_classes, shape_hw)
        boxes, classes = Boxes(all_boxes.float()), torch.stack(all_classes)
        boxes.clip(shape_hw)
        most = predictor.test_topk_per_image
        keep, scores = soft_nms(
            boxes.tensor,
            torch.stack(all_scores),
            classes,
            max_detections=most if most >= 0 else None,
            **predictor.decay(),
        )
        merged = Instances(shape_hw)
        merged.pred_boxes, merged.scores, merged.pred_classes = boxes[keep], scores, classes[keep]
        return merged


def _likeness(image: Tensor) -> tuple[int, tuple[int, int], torch.dtype, str]:
    return image.shape[0], tuple(image.shape[1:]), image.dtype, image.device.type


def _check_channels(model: GeneralizedRCNN) -> None:
    """Refuse, when the model is built, layers that cannot read what comes before them.

    Raises:
        ValueError: the first layer of RPN, box head or box predictor wants other channels, or the
            RPN answers for other anchors.
    """
    rpn, heads = model.proposal_generator, model.roi_heads
    rpn_head = getattr(rpn, "rpn_head", None)
    if hasattr(rpn_head, "objectness_logits") and hasattr(rpn, "anchor_generator"):
        anchors = rpn.anchor_generator.num_anchors[0]
        _require(
            "proposal_generator.head: anchors", anchors, rpn_head.objectness_logits.out_channels
        )
    for name in getattr(rpn, "in_features", ()):
        _check_reader(model, "proposal_generator.head", name, rpn_head)
    reader = getattr(heads, "res5", getattr(heads, "box_head", None))
    pooler = getattr(heads, "box_pooler", None)
    for attribute in ("box_in_features", "in_features", "in_feature"):
        names = getattr(heads, attribute, None)
        if names and reader is not None:
            for name in [names] if isinstance(names, str) else names:
                _check_reader(model, "roi_heads", name, reader, pooler)
            break


def _check_reader(
    model: GeneralizedRCNN,
    part: str,
    feature: str,
    reader: nn.Module,
    pooler: nn.Module | None = None,
) -> None:
    shape = model.backbone.output_shape().get(feature)
    layers = (m for m in reader.modules() if isinstance(m, nn.Conv2d | nn.Linear))
    first = next(layers, None)
    if shape is None or first is None:
        return
    if isinstance(first, nn.Conv2d):
        _require(f"{part}: channels of {feature!r}", shape.channels, first.in_channels)
    elif pooler is not None:
        cells = math.prod(pooler.output_size)
        _require(f"{part}: channels of {feature!r}", shape.channels, first.in_features / cells)


def _require(what: str, needed: int, received: float) -> None:
    if needed != received:
        raise ValueError(
            "A layer reads as many channels as the layer before it gives, and the RPN answers for "
            f"each anchor of a cell. Needed for {what}: {needed}. Received {received:g}. Set the "
            "two alike in the config."
        )
